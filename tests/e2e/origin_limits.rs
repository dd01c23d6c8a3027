//! An origin's budget (`max_requests`, `queue`), and the limits that it tells of (`learn_limits`).

use larder_testkit::{Answer, Larder, Origin, Result, larder, wait};

fn upstream(origin: &Origin, settings: &str) -> String {
    format!("[upstreams.api]\nurl = \"{}\"\n{settings}\n", origin.url())
}

async fn waiting(larder: &Larder, count: f64) -> Result<()> {
    let wanted = || async { Ok((larder.metric("larder_origin_waiting", &[]).await? == count).then_some(())) };
    wait::eventually(format!("waiting for {count} in the queue"), wanted).await
}

/// The place of one is taken by `/slow`, which ends when the gate `go` opens.
async fn full(queue: u32) -> Result<(Origin, Larder, larder_testkit::Client)> {
    let origin = Origin::start().await?;
    origin.always("GET", "/slow", Answer::ok().wait("go").body("slow"));
    for target in ["/a", "/b"] {
        origin.always("GET", target, Answer::ok().header("Cache-Control", "max-age=60").body(target));
    }
    let settings = format!("max_requests = 1\nqueue = {{ max = {queue}, wait = \"1h\" }}");
    let larder = Larder::before(&origin, &upstream(&origin, &settings)).await?;
    let mut slow = larder.connect().await?;
    slow.send("GET", "/slow", &[], "").await?;
    origin.wait_for_requests(1).await?;
    Ok((origin, larder, slow))
}

#[tokio::test]
async fn requests_for_one_key_take_one_place_in_the_queue() -> Result<()> {
    let (origin, larder, mut slow) = full(1).await?;
    let mut clients = Vec::new();
    for number in 1..=5 {
        let mut client = larder.connect().await?;
        client.send("GET", "/a", &[], "").await?;
        clients.push(client);
        let following = || async { Ok((larder.metric("larder_collapsed_waiting", &[]).await? >= f64::from(number - 1)).then_some(())) };
        wait::eventually("waiting for the followers", following).await?;
    }
    waiting(&larder, 1.0).await?;
    assert_eq!(larder.get("/b").await?.status, 503, "another key finds no place");
    origin.gate("go").open();
    for client in &mut clients {
        assert_eq!(client.finish().await?.text(), "/a");
    }
    assert_eq!((slow.finish().await?.text().as_str(), origin.count_of("/a"), origin.count_of("/b")), ("slow", 1, 0));
    Ok(())
}

#[tokio::test]
async fn a_request_whose_client_leaves_gives_its_place_in_the_queue_to_the_next() -> Result<()> {
    let (origin, larder, mut slow) = full(1).await?;
    for _ in 0..3 {
        let mut leaving = larder.connect().await?;
        leaving.send("GET", "/a", &[], "").await?;
        waiting(&larder, 1.0).await?;
        drop(leaving);
        waiting(&larder, 0.0).await?;
    }
    let mut next = larder.connect().await?;
    next.send("GET", "/b", &[], "").await?;
    waiting(&larder, 1.0).await?;
    origin.gate("go").open();
    assert_eq!((next.finish().await?.text(), slow.finish().await?.text()), ("/b".to_owned(), "slow".to_owned()));
    assert_eq!(origin.count_of("/a"), 0, "an abandoned request that has not begun is not sent");
    Ok(())
}

#[tokio::test]
async fn a_client_that_an_origin_has_told_to_wait_gets_what_is_stored_and_else_429_at_once() -> Result<()> {
    let origin = Origin::start().await?;
    let old = Answer::ok().header("Cache-Control", "public, max-age=10").header("Age", "3600").header("ETag", "\"1\"");
    origin.once("GET", "/old", old.body("old"));
    origin.always("GET", "/new", Answer::new(429).header("Retry-After", "3600").body("the origin's own words"));
    let larder = Larder::before(&origin, &upstream(&origin, "learn_limits = true")).await?;
    let by = async |token: &str, target: &str| larder.request("GET", target, &[("Authorization", token)], "").await;
    assert_eq!(larder.get("/old").await?.text(), "old");
    let first = by("Bearer own", "/new").await?;
    assert_eq!((first.status, first.text().as_str()), (429, "the origin's own words"), "its own answer goes on as it is");
    for target in ["/new", "/other"] {
        let held = by("Bearer own", target).await?;
        assert_eq!(held.status, 429, "{held:?}");
        assert_eq!(held.header("content-type"), Some("application/problem+json"));
        let seconds = held.header("retry-after").and_then(|text| text.parse::<u32>().ok()).unwrap_or_default();
        assert!(seconds > 3500 && seconds <= 3600, "{held:?}");
    }
    let stale = by("Bearer own", "/old").await?;
    assert_eq!((stale.status, stale.x_cache(), stale.text().as_str()), (200, "HIT", "old"));
    assert!(stale.cache_status().contains("detail=rate-limited"), "{stale:?}");
    assert_eq!((origin.request_count(), larder.metric("larder_origin_held_total", &["upstream=\"api\""]).await?), (2, 3.0));
    larder.process().line("`held back`", |line| line.contains("held back").then_some(())).await?;
    // It is asked for others, also where one without credentials was told to wait.
    origin.always("GET", "/other", Answer::ok().header("Cache-Control", "no-store").body("other"));
    assert_eq!(by("Bearer other", "/other").await?.text(), "other");
    assert_eq!((larder.get("/new").await?.status, larder.get("/other").await?.text().as_str()), (429, "other"));
    // And a reload without the setting forgets what was learnt.
    larder.write_config(&larder::config(&origin.url(), &upstream(&origin, "learn_limits = false")))?;
    larder.hang_up()?;
    larder.metric_reaches("larder_config_reloads_total", &["result=\"applied\""], 1.0).await?;
    assert_eq!(by("Bearer own", "/other").await?.text(), "other");
    Ok(())
}
