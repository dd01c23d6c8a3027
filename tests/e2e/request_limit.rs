//! `max_request_body`: what is announced as too large never goes up, and what turns out to be too large is not completed there.

use larder_testkit::client::H2Client;
use larder_testkit::{Answer, Client, Larder, Origin, Response, Result};

const TEN_BYTES: &str =
    "[[routes]]\npath = \"/{*rest}\"\nmax_request_body = \"10B\"\n[[routes]]\npath = \"/large\"\nmax_request_body = \"0B\"";

fn assert_too_large(response: &Response) {
    assert_eq!(response.status, 413, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    assert_eq!(response.header("proxy-status"), Some("larder; error=http_request_error"));
    assert!(response.complete && response.text().contains("\"status\":413"), "{response:?}");
}

#[tokio::test]
async fn rfc9110_15_5_14_a_declared_length_over_the_limit_is_refused_at_once() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, TEN_BYTES).await?;
    for (method, rest) in [("POST", "\r\nhello, "), ("GET", "\r\n"), ("PUT", "Expect: 100-continue\r\n\r\n")] {
        let mut client = larder.connect().await?;
        client.send_raw(method, format!("{method} /a HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n{rest}").as_bytes()).await?;
        let response = client.finish().await?;
        assert_too_large(&response);
        assert!(response.interim.is_empty(), "nobody is told to continue");
        client.closed().await?;
    }
    assert_eq!(origin.connection_count(), 0);
    Ok(())
}

async fn send_chunks(client: &mut Client, fields: &str, chunks: &[&str]) -> Result<()> {
    client.send_raw("POST", format!("POST /a HTTP/1.1\r\nHost: x\r\n{fields}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await?;
    for chunk in chunks {
        client.write(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes()).await?;
    }
    Ok(())
}

async fn a_growing_body_is_refused_by(larder: &Larder, origin: &Origin, fields: &str) -> Result<()> {
    let mut client = larder.connect().await?;
    send_chunks(&mut client, fields, &["hello"]).await?;
    origin.wait_for_body(0, b"hello").await?;
    client.write(b"6\r\nworld!\r\n").await?;
    assert_too_large(&client.finish().await?);
    client.closed().await?;
    origin.wait_for_end(0).await?;
    assert!(!origin.received()[0].complete, "it must not look complete to the origin");
    Ok(())
}

#[tokio::test]
async fn a_body_that_grows_over_the_limit_is_cut_off_and_refused() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("POST", "/a", Answer::ok().body("done"));
    let larder = Larder::before(&origin, TEN_BYTES).await?;
    a_growing_body_is_refused_by(&larder, &origin, "").await
}

#[tokio::test]
async fn so_is_one_that_waits_for_an_upgrade() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("POST", "/a", Answer::ok().body("done"));
    let larder = Larder::before(&origin, TEN_BYTES).await?;
    a_growing_body_is_refused_by(&larder, &origin, "Connection: upgrade\r\nUpgrade: websocket\r\n").await
}

#[tokio::test]
async fn a_body_within_the_limit_passes_and_by_default_there_is_none() -> Result<()> {
    let origin = Origin::start().await?;
    for target in ["/a", "/large"] {
        origin.always("POST", target, Answer::ok().body("done"));
    }
    let larder = Larder::before(&origin, TEN_BYTES).await?;
    assert_eq!(larder.request("POST", "/a", &[], "0123456789").await?.status, 200);
    assert_eq!(larder.request("POST", "/large", &[], &"x".repeat(1000)).await?.status, 200);
    let mut client = larder.connect().await?;
    send_chunks(&mut client, "", &["01234", "56789"]).await?;
    client.write(b"0\r\n\r\n").await?;
    assert_eq!(client.finish().await?.status, 200);
    assert_eq!(origin.received()[2].body, b"0123456789");
    let unlimited = Larder::before(&origin, "").await?;
    assert_eq!(unlimited.request("POST", "/a", &[], &"x".repeat(4 << 20)).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn http2_streams_are_limited_and_their_connection_goes_on() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("POST", "/a", Answer::ok().body("done"));
    let larder = Larder::before(&origin, TEN_BYTES).await?;
    let mut client = H2Client::connect(larder.address()).await?;
    assert_eq!(client.exchange("POST", "/a", &[], "hello, world").await?.head.status, 413);
    assert_eq!(client.exchange("POST", "/a", &[], "hello").await?.head.status, 200);
    assert_eq!(origin.request_count(), 1);
    Ok(())
}
