//! How connections begin and end.

use std::time::Duration;

use larder_testkit::{Answer, Client, Origin, Result, connect_tls, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Edge, HOST, printed, run};

#[tokio::test]
async fn rfc6066_3_a_name_without_a_certificate_is_refused_by_name() -> Result<()> {
    let origin = Origin::start().await?;
    let edge = Edge::start(&origin, "", "").await?;
    let output = run("openssl", &["s_client", "-connect", &edge.tls().to_string(), "-servername", "other.example"], "").await?;
    assert!(printed(&output).contains("unrecognized name"), "{}", printed(&output));
    // Who names none gets the first.
    let output = run("openssl", &["s_client", "-connect", &edge.tls().to_string(), "-noservername"], "").await?;
    assert!(printed(&output).contains("subject=CN = a.example"), "{}", printed(&output));
    edge.larder.metric_reaches("larder_tls_handshakes_total", &["outcome=\"unknown_name\""], 1.0).await
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_by_its_deadline() -> Result<()> {
    let origin = Origin::start().await?;
    let edge = Edge::start(&origin, "", "[server]\nheader_read_timeout = \"100ms\"\nidle_timeout = \"1h\"").await?;
    // Nothing, half a record, and the first record of a handshake that never goes on.
    let hello = include_bytes!("client_hello.bin");
    for bytes in [&b""[..], &hello[..20], &hello[..]] {
        let mut stream = TcpStream::connect(edge.tls()).await?;
        stream.write_all(bytes).await?;
        let mut rest = Vec::new();
        // The server's part of the handshake may come before the end.
        // It may end in a reset, for what was sent was not read.
        let _ended = wait::within("waiting for the end", stream.read_to_end(&mut rest)).await?;
    }
    edge.larder.metric_reaches("larder_tls_handshakes_total", &["outcome=\"late\""], 3.0).await
}

#[tokio::test]
async fn a_client_in_clear_text_is_told_so_in_clear_text() -> Result<()> {
    let origin = Origin::start().await?;
    let edge = Edge::start(&origin, "", "").await?;
    let response = Client::connect(edge.tls()).await?.exchange("GET", "/a", &[], "").await?;
    assert_eq!((response.status, response.header("connection")), (400, Some("close")));
    assert!(response.text().contains("https://"), "{}", response.text());
    edge.larder.metric_reaches("larder_tls_handshakes_total", &["outcome=\"clear_text\""], 1.0).await?;
    assert_eq!(edge.larder.metric("larder_requests_total", &["status=\"4xx\""]).await?, 1.0);
    Ok(())
}

#[tokio::test]
async fn rfc8446_6_1_a_drain_ends_connections_with_close_notify() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().chunk("first ").wait("middle").chunk("second"));
    origin.always("GET", "/b", Answer::ok().body("b"));
    let edge = Edge::start(&origin, "", "").await?;
    let trusting = edge.authority.client(&[], None)?;
    let mut fresh = connect_tls(edge.tls(), HOST, &trusting).await?;
    let mut idle = Client::connect_tls(edge.tls(), HOST, &trusting).await?;
    assert_eq!(idle.exchange("GET", "/b", &[], "").await?.status, 200);
    let mut busy = Client::connect_tls(edge.tls(), HOST, &trusting).await?;
    busy.send("GET", "/a", &[], "").await?;
    busy.read_until("first ").await?;
    edge.larder.terminate()?;
    idle.ended().await?;
    // rustls takes an end without close_notify for an error.
    let mut byte = [0];
    assert_eq!(wait::within("waiting for the end", fresh.read(&mut byte)).await??, 0);
    origin.gate("middle").open();
    assert!(busy.finish().await?.text().ends_with("second"));
    busy.ended().await?;
    assert_eq!(edge.larder.exited().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_body_that_breaks_off_ends_without_close_notify() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().declared_length(10).part("12345").close());
    let edge = Edge::start(&origin, "", "").await?;
    let mut stream = connect_tls(edge.tls(), HOST, &edge.authority.client(&[], None)?).await?;
    // A client of HTTP/1.0 knows the end of the body by the end of the connection only.
    stream.write_all(format!("GET /a HTTP/1.0\r\nHost: {HOST}\r\n\r\n").as_bytes()).await?;
    let mut text = Vec::new();
    let ended = wait::within("waiting for the end", stream.read_to_end(&mut text)).await?;
    assert!(ended.is_err(), "a clean end would make this complete: {}", String::from_utf8_lossy(&text));
    Ok(())
}

#[tokio::test]
async fn an_idle_connection_ends_with_close_notify() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let edge = Edge::start(&origin, "", "[server]\nidle_timeout = \"100ms\"").await?;
    let trusting = edge.authority.client(&[], None)?;
    let mut idle = Client::connect_tls(edge.tls(), HOST, &trusting).await?;
    assert_eq!(idle.exchange("GET", "/a", &[], "").await?.status, 200);
    idle.ended().await
}

#[tokio::test]
async fn a_client_that_takes_nothing_over_tls_is_cut_off() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("x".repeat(8 << 20)));
    let edge = Edge::start(&origin, "", "[server]\nwrite_timeout = \"200ms\"\n[cache]\nttl = \"60s\"").await?;
    let trusting = edge.authority.client(&[], None)?;
    let mut filling = Client::connect_tls(edge.tls(), HOST, &trusting).await?;
    assert_eq!(filling.exchange("GET", "/a", &[], "").await?.body.len(), 8 << 20);
    drop(filling);
    edge.larder.settled().await?;
    let mut stalled = connect_tls(edge.tls(), HOST, &trusting).await?;
    stalled.write_all(format!("GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await?;
    let none = || async { Ok((edge.larder.metric("larder_client_connections", &[]).await? == 0.0).then_some(())) };
    wait::eventually("waiting for the connection to be cut", none).await?;
    tokio::time::timeout(Duration::from_secs(10), stalled.read_to_end(&mut Vec::new())).await?.expect_err("it was reset");
    Ok(())
}
