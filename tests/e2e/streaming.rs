//! Bodies in both directions, under clients and origins that do not keep up.

use larder_testkit::{Answer, Client, Larder, Origin, Result};

const MEBIBYTE: usize = 1024 * 1024;

/// More than the sockets between origin and client can hold.
fn large() -> String {
    "0123456789abcdef".repeat(6 * MEBIBYTE / 16)
}

#[tokio::test]
async fn a_slow_client_does_not_slow_the_fill() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().body(large()));
    let larder = Larder::before(&origin, "[cache]\nttl = \"60s\"").await?;
    let mut slow = Client::connect_narrow(larder.address()).await?;
    slow.send("GET", "/a", &[], "").await?;
    slow.head().await?;
    larder.settled().await?;
    let other = larder.get("/a").await?;
    assert_eq!((other.x_cache(), other.body.len()), ("HIT", 6 * MEBIBYTE));
    let response = slow.finish().await?;
    assert!(response.complete && response.text() == large());
    origin.check()
}

#[tokio::test]
async fn a_slow_follower_does_not_slow_the_others() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().chunk("start").wait("middle").chunk(large()));
    let larder = Larder::before(&origin, "[cache]\nttl = \"60s\"").await?;
    let mut leader = larder.connect().await?;
    leader.send("GET", "/a", &[], "").await?;
    leader.read_until("start").await?;
    let mut slow = Client::connect_narrow(larder.address()).await?;
    slow.send("GET", "/a", &[], "").await?;
    slow.read_until("start").await?;
    origin.gate("middle").open();
    assert_eq!(leader.finish().await?.body.len(), 6 * MEBIBYTE + 5);
    larder.settled().await?;
    assert_eq!(larder.get("/a").await?.x_cache(), "HIT");
    let response = slow.finish().await?;
    assert!(response.complete);
    assert_eq!(response.body.len(), 6 * MEBIBYTE + 5);
    Ok(())
}

/// The body is on its way before the client has sent all of it, so it is not collected.
#[tokio::test]
async fn a_request_body_is_streamed() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("POST", "/a", Answer::ok().body("done"));
    let larder = Larder::before(&origin, "").await?;
    let mut client = larder.connect().await?;
    client.send_raw("POST", b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfirst").await?;
    origin.wait_for_body(0, b"first").await?;
    client.write(b"later").await?;
    assert_eq!(client.finish().await?.text(), "done");
    assert_eq!(origin.received()[0].body, b"firstlater");
    origin.check()
}

/// An origin that does not read holds the client up; the gateway does not take the body into its own memory.
#[tokio::test]
async fn a_request_body_meets_backpressure() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("POST", "/a", Answer::ok().body("done").body_read_after("read"));
    let larder = Larder::before(&origin, "").await?;
    let mut client = larder.connect().await?;
    let length = 96 * MEBIBYTE;
    client.send_raw("POST", format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n").as_bytes()).await?;
    origin.gate("read").reached(1).await?;
    let mut sent = client.write_until_blocked(&vec![b'x'; length]).await?;
    assert!(sent < 48 * MEBIBYTE, "{sent} bytes were taken from the client while the origin read nothing");
    origin.gate("read").open();
    while sent < length {
        let piece = vec![b'x'; MEBIBYTE.min(length - sent)];
        client.write(&piece).await?;
        sent += piece.len();
    }
    assert_eq!(client.finish().await?.text(), "done");
    assert_eq!(origin.received()[0].body.len(), length);
    Ok(())
}

#[tokio::test]
async fn rfc9110_10_1_1_the_origin_says_whether_to_continue() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("POST", "/yes", Answer::ok().body("taken").interim_before_body(100));
    origin.once("POST", "/no", Answer::new(403).header("Connection", "close").body("go away").ignore_body().close());
    let larder = Larder::before(&origin, "").await?;
    let head = |target: &str| format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");

    let mut client = larder.connect().await?;
    client.send_raw("POST", head("/yes").as_bytes()).await?;
    assert_eq!(client.next_head().await?.status()?, 100);
    client.write(b"hello").await?;
    assert_eq!(client.finish().await?.text(), "taken");
    assert_eq!(origin.received()[0].body, b"hello");

    let mut client = larder.connect().await?;
    client.send_raw("POST", head("/no").as_bytes()).await?;
    client.head().await?;
    let response = client.finish().await?;
    assert_eq!((response.status, response.text().as_str()), (403, "go away"));
    Ok(())
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_reaches_the_client() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("POST", "/a", Answer::new(413).header("Connection", "close").body("too much").ignore_body());
    let larder = Larder::before(&origin, "").await?;
    let mut client = larder.connect().await?;
    client.send_raw("POST", b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nonly the beginning").await?;
    assert_eq!(client.head().await?.status()?, 413);
    Ok(())
}

/// A client that breaks off its request must not look to the origin as if it were done.
#[tokio::test]
async fn a_request_that_breaks_off_is_not_completed() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("POST", "/a", Answer::ok().body("done"));
    let larder = Larder::before(&origin, "").await?;
    let mut client = larder.connect().await?;
    client.send_raw("POST", b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await?;
    origin.wait_for_body(0, b"first").await?;
    drop(client);
    origin.wait_for_end(0).await?;
    assert!(!origin.received()[0].complete);
    Ok(())
}
