//! Requests over TLS: what the origin is told, what is stored, and which hosts a connection is for.

use larder_testkit::client::H2Client;
use larder_testkit::{Answer, Client, Origin, Result};

use super::{Edge, HOST};

const CACHED: &str = "[cache]\nttl = \"60s\"\ncache_status = { key = true }";

#[tokio::test]
async fn the_origin_is_told_https_and_the_key_has_it() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let edge = Edge::start(&origin, "", CACHED).await?;
    let mut secure = Client::connect_tls(edge.tls(), HOST, &edge.authority.client(&[], None)?).await?;
    let miss = secure.exchange("GET", "/a", &[("X-Forwarded-Proto", "http")], "").await?;
    assert!(miss.cache_status().contains("https://a.example/a"), "{}", miss.cache_status());
    let received = &origin.received()[0];
    assert_eq!(received.header("x-forwarded-proto"), Some("https"));
    assert!(received.header("forwarded").unwrap_or_default().contains("proto=https"), "{:?}", received.header("forwarded"));
    let mut clear = Client::connect(edge.clear()).await?;
    let other = clear.exchange("GET", "/a", &[("Host", HOST)], "").await?;
    assert_eq!(other.x_cache(), "MISS", "http and https are two origins (RFC 9110 §4.3.1)");
    assert_eq!(secure.exchange("GET", "/a", &[], "").await?.x_cache(), "HIT");
    Ok(())
}

#[tokio::test]
async fn a_stored_body_is_whole_over_either_protocol_and_for_slow_readers() -> Result<()> {
    let origin = Origin::start().await?;
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    origin.always("GET", "/large", Answer::ok().body(large.clone()));
    let edge = Edge::start(&origin, "", CACHED).await?;
    let (plain, h2) = (edge.authority.client(&["http/1.1"], None)?, edge.authority.client(&["h2"], None)?);
    let mut one = Client::connect_tls(edge.tls(), HOST, &plain).await?;
    let mut two = H2Client::connect_tls(edge.tls(), HOST, &h2).await?;
    for round in 0..2 {
        assert!(one.exchange("GET", "/large", &[], "").await?.body == large, "HTTP/1.1, round {round}");
        edge.larder.settled().await?;
        assert!(two.exchange("GET", "/large", &[], "").await?.body == large, "HTTP/2, round {round}");
    }
    assert_eq!(one.exchange("HEAD", "/large", &[], "").await?.x_cache(), "HIT");
    // Several at once, answered in order from one read.
    let head = format!("GET /large HTTP/1.1\r\nHost: {HOST}\r\nRange: bytes=0-9\r\n\r\n");
    one.send_raw("GET", head.repeat(20).as_bytes()).await?;
    for _ in 0..20 {
        assert_eq!(one.finish().await?.body, large[..10]);
    }
    assert_eq!(origin.count_of("/large"), 1);
    Ok(())
}

#[tokio::test]
async fn rfc9110_15_5_20_a_request_for_another_host_than_the_certificates_is_misdirected() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let edge = Edge::start(&origin, "", CACHED).await?;
    let mut one = Client::connect_tls(edge.tls(), HOST, &edge.authority.client(&[], None)?).await?;
    let mut two = H2Client::connect_tls(edge.tls(), "b.example", &edge.authority.client(&["h2"], None)?).await?;
    for _ in 0..2 {
        // Both times: the second could be a hit.
        for host in ["a.example", "A.EXAMPLE:8443", "a.example.", "127.0.0.1"] {
            assert_eq!(one.exchange("GET", "/a", &[("Host", host)], "").await?.status, 200, "{host}");
        }
        for host in ["b.example", "x.c.example", "a.example.evil", "127.0.0.2", "[::1]"] {
            assert_eq!(one.exchange("GET", "/a", &[("Host", host)], "").await?.status, 421, "{host}");
        }
        for (host, status) in [("b.example", 200), ("x.c.example:1", 200), ("a.example", 421), ("c.example", 421), ("x.y.c.example", 421)] {
            two = two.for_authority(host);
            assert_eq!(two.exchange("GET", "/a", &[], "").await?.head.status.as_u16(), status, "{host}");
        }
    }
    let mut unnamed = Client::connect_tls(edge.tls(), "127.0.0.1", &edge.authority.client(&[], None)?).await?;
    for (host, status) in [("127.0.0.1", 200), ("192.0.2.1", 200), ("a.example", 200), ("b.example", 421)] {
        assert_eq!(unnamed.exchange("GET", "/a", &[("Host", host)], "").await?.status, status, "without SNI, {host}");
    }
    Ok(())
}

#[tokio::test]
async fn rfc9113_3_2_the_protocol_is_the_one_that_was_agreed_on() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let edge = Edge::start(&origin, "", "").await?;
    // The preface of HTTP/2 where HTTP/1.1 was agreed on, or nothing.
    for protocols in [&["http/1.1"][..], &[]] {
        let mut client = Client::connect_tls(edge.tls(), HOST, &edge.authority.client(protocols, None)?).await?;
        client.send_raw("GET", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        client.closed().await?;
    }
    // HTTP/1.1 where HTTP/2 was agreed on ends in GOAWAY (7), not in an answer.
    let mut client = Client::connect_tls(edge.tls(), HOST, &edge.authority.client(&["h2"], None)?).await?;
    client.send_raw("GET", format!("GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await?;
    let answer = client.read_raw(9).await?;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    assert_eq!(origin.request_count(), 0);
    Ok(())
}

#[tokio::test]
async fn http2_can_be_left_out_of_a_listener() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let authority = larder_testkit::Authority::new()?;
    let certificate = authority.issue("a", &[HOST])?.in_config();
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\nhttp2 = false\ntls = {{ certificates = [{certificate}] }}\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\nhttp2 = false"
    );
    let larder = larder_testkit::Larder::before(&origin, &text).await?;
    let addresses = larder.addresses(2).await?;
    let (tls, clear) = (addresses[0], addresses[1]);
    let stream = larder_testkit::connect_tls(tls, HOST, &authority.client(&["h2", "http/1.1"], None)?).await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut client = Client::connect(clear).await?;
    client.send_raw("GET", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    client.closed().await?;
    assert_eq!(Client::connect(clear).await?.exchange("GET", "/a", &[], "").await?.status, 200);
    Ok(())
}
