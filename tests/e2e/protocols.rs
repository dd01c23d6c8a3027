//! HTTP/2 with prior knowledge, upgraded connections, connections that are kept, and clients of HTTP/1.0.

use larder_testkit::client::H2Client;
use larder_testkit::{Answer, Error, Larder, Origin, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn header<'a>(head: &'a larder_testkit::client::H2Response, name: &str) -> &'a str {
    head.head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[tokio::test]
async fn h2c_misses_hits_and_shares_with_http_1_1() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a?x=1", Answer::ok().header("Connection", "keep-alive").body("hello"));
    let larder = Larder::before(&origin, "[cache]\nttl = \"60s\"").await?;
    let mut client = H2Client::connect(larder.address()).await?;
    let miss = client.exchange("GET", "/a?x=1", &[], "").await?;
    assert_eq!((miss.head.status.as_u16(), header(&miss, "x-cache"), &miss.body[..]), (200, "MISS", &b"hello"[..]));
    assert!(header(&miss, "connection").is_empty(), "RFC 9113 §8.2.2 forbids connection fields");
    let hit = client.exchange("GET", "/a?x=1", &[], "").await?;
    assert_eq!((header(&hit, "x-cache"), &hit.body[..]), ("HIT", &b"hello"[..]));
    assert_eq!(larder.get("/a?x=1").await?.x_cache(), "HIT");
    let received = &origin.received()[0];
    assert_eq!(received.header("host"), Some(larder.address().to_string().as_str()));
    assert!(received.header("via").unwrap_or_default().contains("2 larder"), "{:?}", received.header("via"));
    Ok(())
}

#[tokio::test]
async fn rfc9113_10_5_a_flood_of_settings_is_told_in_log_and_metrics() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "").await?;
    let mut stream = TcpStream::connect(larder.address()).await?;
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), settings.repeat(102)].concat()).await?;
    let mut received = Vec::new();
    let _reset_or_end = stream.read_to_end(&mut received).await;
    assert!(received.windows(4).any(|head| head == [0, 0, 8, 7]), "no GOAWAY: {received:?}");
    larder.metric_reaches("larder_http2_limits_total", &["limit=\"settings\""], 1.0).await?;
    larder.process().line("`a flood`", |line| line.contains("frames that only cost").then_some(())).await?;
    Ok(())
}

#[tokio::test]
async fn rfc9110_9_3_2_an_answer_to_head_has_no_content_in_h2c() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/length", Answer::ok().body("hello"));
    origin.once("GET", "/chunks", Answer::ok().chunk("hel").chunk("lo"));
    let larder = Larder::before(&origin, "[cache]\nttl = \"60s\"").await?;
    let mut client = H2Client::connect(larder.address()).await?;
    for target in ["/length", "/chunks"] {
        assert_eq!(&client.exchange("GET", target, &[], "").await?.body[..], b"hello");
        // A client that keeps to RFC 9113 §8.1.1 takes content here for a broken stream.
        let head = client.exchange("HEAD", target, &[], "").await?;
        assert_eq!((header(&head, "x-cache"), header(&head, "content-length"), head.body.len()), ("HIT", "5", 0), "{target}");
    }
    let missing = client.exchange("HEAD", "/length", &[("if-none-match", "*")], "").await?;
    assert_eq!((missing.head.status.as_u16(), missing.body.len()), (304, 0));
    Ok(())
}

#[tokio::test]
async fn h2c_streams_share_one_connection_and_do_not_wait_for_each_other() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/slow", Answer::ok().chunk("first ").wait("slow").chunk("second"));
    origin.once("POST", "/fast", Answer::ok().chunk("fast").trailers(&[("X-Sum", "1")]));
    let larder = Larder::before(&origin, "").await?;
    let mut client = H2Client::connect(larder.address()).await?;
    let slow = client.send("GET", "/slow", &[], "").await?;
    let fast = client.exchange("POST", "/fast", &[("te", "trailers")], "body").await?;
    assert_eq!((&fast.body[..], fast.trailers.get("x-sum").map(|value| value.as_bytes())), (&b"fast"[..], Some(&b"1"[..])));
    origin.gate("slow").open();
    assert_eq!(slow.status(), 200);
    assert_eq!(origin.received()[1].body, b"body");
    Ok(())
}

#[tokio::test]
async fn rfc9113_8_2_3_cookies_in_pieces_reach_the_origin_as_one_field() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "max-age=60").header("Vary", "Cookie").body("x"));
    let larder = Larder::before(&origin, "").await?;
    let mut client = H2Client::connect(larder.address()).await?;
    let miss = client.exchange("GET", "/a", &[("cookie", "a=1"), ("cookie", "b=2")], "").await?;
    assert_eq!(header(&miss, "x-cache"), "MISS");
    assert_eq!(origin.received()[0].head.all("cookie"), ["a=1; b=2"]);
    assert_eq!(larder.request("GET", "/a", &[("Cookie", "a=1; b=2")], "").await?.x_cache(), "HIT", "one variant over both protocols");
    Ok(())
}

/// One frame of HTTP/2 on the first stream, or on the connection (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The library reads them, and leaves them out of what it hands on.
#[tokio::test]
async fn rfc9113_8_1_pseudo_fields_in_trailers_go_no_further() -> Result<()> {
    let (data, headers, settings) = (0, 1, 4);
    let origin = Origin::start().await?;
    origin.once("POST", "/", Answer::ok().body("hello"));
    let larder = Larder::before(&origin, "").await?;
    let mut stream = TcpStream::connect(larder.address()).await?;
    // POST http://a.example/, and as trailers `:path: /evil` and `x-sum: 1`, as HPACK writes them (RFC 7541 §6.2).
    let opening = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(settings, 0, 0, b""),
        frame(headers, 0x4, 1, b"\x83\x86\x84\x41\x09a.example"),
        frame(data, 0, 1, b"content"),
        frame(headers, 0x5, 1, b"\x04\x05/evil\x00\x05x-sum\x011"),
    ];
    stream.write_all(&opening.concat()).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await?;
        if head[8] == 1 && (head[3] == data || head[3] == headers) && head[4] & 0x1 != 0 {
            break;
        }
    }
    let received = &origin.received()[0];
    assert_eq!((received.target.as_str(), &received.body[..]), ("/", &b"content"[..]));
    assert!(received.trailers.iter().all(|(name, value)| !name.starts_with(':') && value != "/evil"), "{:?}", received.trailers);
    assert_eq!(received.head.all(":path").len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_broken_body_is_a_reset_stream_in_h2c() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().declared_length(10).part("12345").close());
    let larder = Larder::before(&origin, "").await?;
    let mut client = H2Client::connect(larder.address()).await?;
    assert!(client.exchange("GET", "/a", &[], "").await.is_err());
    Ok(())
}

#[tokio::test]
async fn an_upgraded_connection_passes_bytes_both_ways() -> Result<()> {
    let origin = Origin::start().await?;
    let switched = Answer::new(101).header("Connection", "Upgrade").header("Upgrade", "websocket").header("Sec-WebSocket-Accept", "x");
    origin.once("GET", "/chat", switched.echo());
    let larder = Larder::before(&origin, "[cache]\nttl = \"60s\"").await?;
    let mut client = larder.connect().await?;
    let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "x")];
    client.send("GET", "/chat", &fields, "").await?;
    let head = client.next_head().await?;
    assert_eq!((head.status()?, head.get("upgrade"), head.get("sec-websocket-accept")), (101, Some("websocket"), Some("x")));
    assert!(head.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")), "{:?}", head.get("connection"));
    for message in [&b"\x81\x05hello"[..], b"\x00\xff not HTTP at all\r\n\r\n"] {
        client.write(message).await?;
        assert_eq!(client.read_raw(message.len()).await?, message);
    }
    let received = &origin.received()[0];
    assert_eq!(received.header("upgrade"), Some("websocket"));
    assert_eq!(received.header("sec-websocket-key"), Some("x"));
    client.shut_down_write()?;
    client.closed().await
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/chat", Answer::new(403).body("no"));
    let larder = Larder::before(&origin, "").await?;
    let mut client = larder.connect().await?;
    let response = client.exchange("GET", "/chat", &[("Connection", "Upgrade"), ("Upgrade", "websocket")], "").await?;
    assert_eq!((response.status, response.text().as_str()), (403, "no"));
    Ok(())
}

/// RFC 9110 §7.8: "A server MAY ignore a received Upgrade header field". Whether it does or not, the write has taken place.
#[tokio::test]
async fn rfc9111_4_4_a_write_that_asks_for_an_upgrade_invalidates() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/item", Answer::ok().body("x"));
    origin.once("POST", "/item", Answer::ok().body("written"));
    origin.once("POST", "/item", Answer::new(101).header("Connection", "Upgrade").header("Upgrade", "tcp").echo());
    let larder = Larder::before(&origin, "[cache]\nttl = \"60s\"").await?;
    for status in [200, 101] {
        larder.get("/item").await?;
        assert_eq!(larder.get("/item").await?.x_cache(), "HIT");
        let mut client = larder.connect().await?;
        let fields = [("Connection", "Upgrade"), ("Upgrade", "tcp"), ("Content-Length", "3")];
        client.send("POST", "/item", &fields, "a=1").await?;
        assert_eq!(client.next_head().await?.status()?, status);
        if status == 101 {
            client.write(b"not HTTP at all").await?;
            assert_eq!(client.read_raw(15).await?, b"not HTTP at all", "it is a tunnel all the same");
        }
        assert_eq!(larder.get("/item").await?.x_cache(), "MISS", "after {status}");
    }
    let writes: Vec<_> = origin.received().into_iter().filter(|received| received.method == "POST").collect();
    assert!(writes.iter().all(|write| write.header("upgrade") == Some("tcp") && write.body == b"a=1"), "{writes:?}");
    Ok(())
}

#[tokio::test]
async fn one_connection_serves_hits_misses_and_errors_in_turn() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().body("a"));
    origin.once("GET", "/b", Answer::ok().chunk("b"));
    origin.once("GET", "/c", Answer::hang_up());
    let larder = Larder::before(&origin, "[cache]\nttl = \"60s\"").await?;
    let mut client = larder.connect().await?;
    for (target, status, x_cache) in [("/a", 200, "MISS"), ("/a", 200, "HIT"), ("/b", 200, "MISS"), ("/b", 200, "HIT")] {
        let response = client.exchange("GET", target, &[], "").await?;
        assert_eq!((response.status, response.x_cache()), (status, x_cache), "{target}");
    }
    assert_eq!(client.exchange("HEAD", "/b", &[], "").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/1", Answer::ok().body("one"));
    origin.once("GET", "/2", Answer::ok().body("two"));
    let larder = Larder::before(&origin, "").await?;
    let mut client = larder.connect().await?;
    client.send_raw("GET", b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    assert_eq!(client.finish().await?.text(), "one");
    assert_eq!(client.finish().await?.text(), "two");
    Ok(())
}

#[tokio::test]
async fn an_http_1_0_client_gets_no_chunks() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().chunk("hel").chunk("lo"));
    let larder = Larder::before(&origin, "[cache]\nttl = \"60s\"").await?;
    for x_cache in ["MISS", "HIT"] {
        let mut client = larder.connect().await?;
        client.send_raw("GET", b"GET /a HTTP/1.0\r\nHost: x\r\n\r\n").await?;
        let response = client.finish().await?;
        assert_eq!((response.x_cache(), response.text().as_str(), response.complete), (x_cache, "hello", true));
        assert_eq!(response.header("transfer-encoding"), None);
        client.closed().await?;
    }
    Ok(())
}

#[tokio::test]
async fn connections_to_the_origin_are_kept() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "no-store").body("x"));
    let larder = Larder::before(&origin, "").await?;
    for _ in 0..10 {
        assert_eq!(larder.get("/a").await?.text(), "x");
    }
    assert_eq!(origin.request_count(), 10);
    assert!(origin.connection_count() <= 2, "{} connections for 10 requests, one after the other", origin.connection_count());
    Ok(())
}

/// RFC 9112 §3.2.2: a server must accept the absolute form, and the origin sees the same resource.
#[tokio::test]
async fn absolute_form_for_this_host_is_served() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a?b", Answer::ok().body("x"));
    let larder = Larder::before(&origin, "[cache]\nttl = \"60s\"").await?;
    let host = larder.address().to_string();
    let first = larder.request("GET", &format!("http://{host}/a?b"), &[], "").await?;
    assert_eq!((first.status, first.x_cache()), (200, "MISS"));
    assert_eq!(larder.get("/a?b").await?.x_cache(), "HIT");
    let received = origin.received();
    assert_eq!(received[0].target, "/a?b");
    origin.check().map_err(|error: Error| error)
}
