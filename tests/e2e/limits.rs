//! Clients that take too much or too long are held within bounds.

use larder_testkit::{Answer, Larder, Origin, Result, wait};

#[tokio::test]
async fn a_head_that_is_sent_too_slowly_is_408() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "[server]\nlisten = \"127.0.0.1:0\"\nheader_read_timeout = \"300ms\"").await?;
    let mut client = larder.connect().await?;
    client.send_raw("GET", b"GET /a HTTP/1.1\r\nHost: x\r\nX-A: unfini").await?;
    assert_eq!(client.finish().await?.status, 408);
    client.closed().await?;
    assert_eq!(origin.request_count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_client_that_sends_nothing_is_disconnected() -> Result<()> {
    let origin = Origin::start().await?;
    let larder = Larder::before(&origin, "[server]\nlisten = \"127.0.0.1:0\"\nheader_read_timeout = \"300ms\"").await?;
    let mut silent = larder.connect().await?;
    let mut begun = larder.connect().await?;
    // Part of HTTP/2's preface: which version will be spoken is not known yet.
    begun.write(b"PRI * HT").await?;
    // A connection on which no request has begun is not owed an answer (RFC 9112 §9.5); a client in the middle of a word gets one.
    silent.closed().await?;
    assert_eq!(begun.finish().await?.status, 408);
    begun.closed().await
}

#[tokio::test]
async fn too_many_connections_are_refused_until_some_end() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("x"));
    let larder = Larder::before(&origin, "[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = 2").await?;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut client = larder.connect().await?;
        assert_eq!(client.exchange("GET", "/a", &[], "").await?.status, 200);
        kept.push(client);
    }
    let mut third = larder.connect().await?;
    third.send("GET", "/a", &[], "").await?;
    assert_eq!(third.finish().await?.status, 503);
    third.closed().await?;
    kept.clear();
    let served = || async { Ok(larder.get("/a").await.ok().filter(|response| response.status == 200)) };
    wait::eventually("waiting for a free place", served).await.map(drop)
}

/// Nor is a client whose events are rare, however short the time.
#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_disconnected() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/endless", Answer::ok().header("Cache-Control", "no-store").endless("x".repeat(64 * 1024)));
    origin.once("GET", "/events", Answer::ok().header("Content-Type", "text/event-stream").chunk("one").wait("two").chunk("two"));
    let larder = Larder::before(&origin, "[server]\nlisten = \"127.0.0.1:0\"\nwrite_timeout = \"300ms\"").await?;
    let mut events = larder.connect().await?;
    events.send("GET", "/events", &[], "").await?;
    events.read_until("one").await?;
    let mut stuck = larder_testkit::Client::connect_narrow(larder.address()).await?;
    stuck.send("GET", "/endless", &[], "").await?;
    larder.metric_reaches("larder_client_connections", &[], 2.0).await?;
    let one = || async { Ok((larder.metric("larder_client_connections", &[]).await? <= 1.0).then_some(())) };
    wait::eventually("waiting for the end of the connection", one).await?;
    origin.gate("two").open();
    let events = events.finish().await?;
    assert!(events.complete && events.text() == "onetwo", "{events:?}");
    Ok(())
}

/// Eight readers that are stuck hold up their own upstream connections, not the memory.
#[tokio::test]
async fn a_response_that_is_not_read_takes_bounded_memory() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/endless", Answer::ok().header("Cache-Control", "no-store").endless("x".repeat(64 * 1024)));
    origin.always("GET", "/a", Answer::ok().body("x"));
    let larder = Larder::before(&origin, "").await?;
    let mut stuck = Vec::new();
    for _ in 0..8 {
        let mut client = larder_testkit::Client::connect_narrow(larder.address()).await?;
        client.send("GET", "/endless", &[], "").await?;
        client.head().await?;
        stuck.push(client);
    }
    let mut reader = larder.connect().await?;
    reader.send("GET", "/endless", &[], "").await?;
    // By the time that one reader has had 64 MiB, the origin would have filled the memory for the others, if that was kept.
    reader.read_at_least(64 * 1024 * 1024).await?;
    assert!(larder.resident_bytes()? < 200 * 1024 * 1024, "{} bytes", larder.resident_bytes()?);
    assert_eq!(larder.get("/a").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431_for_what_is_stored_too() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "max-age=60").body("x"));
    let larder = Larder::before(&origin, "[server]\nlisten = \"127.0.0.1:0\"\nmax_header_bytes = \"8KiB\"").await?;
    let mut client = larder.connect().await?;
    let sized = |bytes: usize| "a".repeat(bytes - "GET /a HTTP/1.1\r\nHost: 127.0.0.1:12345\r\nX-A: \r\n\r\n".len());
    client.exchange("GET", "/a", &[("X-A", &sized(8 << 10))], "").await?;
    assert_eq!(client.exchange("GET", "/a", &[("X-A", &sized(8 << 10))], "").await?.x_cache(), "HIT");
    assert_eq!(client.exchange("GET", "/a", &[("X-A", &sized((8 << 10) + 16))], "").await?.status, 431);
    client.closed().await
}

#[tokio::test]
async fn a_head_that_begins_with_the_one_before_and_does_not_end_is_408() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "max-age=60").body("x"));
    let larder = Larder::before(&origin, "[server]\nlisten = \"127.0.0.1:0\"\nheader_read_timeout = \"300ms\"").await?;
    let mut client = larder.connect().await?;
    client.exchange("GET", "/a", &[("Host", "x")], "").await?;
    client.send_raw("GET", b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /a HT").await?;
    assert_eq!(client.finish().await?.x_cache(), "HIT");
    assert_eq!(client.finish().await?.status, 408);
    client.closed().await
}

#[tokio::test]
async fn a_tunnel_that_is_quiet_is_closed_on_both_sides() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/chat", Answer::new(101).header("Connection", "Upgrade").header("Upgrade", "websocket").echo());
    let larder = Larder::before(&origin, "[server]\nlisten = \"127.0.0.1:0\"\ntunnel_idle = \"300ms\"").await?;
    let mut client = larder.connect().await?;
    client.send("GET", "/chat", &[("Connection", "Upgrade"), ("Upgrade", "websocket")], "").await?;
    assert_eq!(client.next_head().await?.status()?, 101);
    client.write(b"hello").await?;
    assert_eq!(client.read_raw(5).await?, b"hello");
    client.closed().await?;
    let ended = || async { Ok((larder.metric("larder_client_connections", &[]).await? == 0.0).then_some(())) };
    wait::eventually("waiting for the end of the connection", ended).await?;
    origin.wait_for_end(0).await
}
