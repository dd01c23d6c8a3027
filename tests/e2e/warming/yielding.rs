//! Warming gives way: to clients, and to an origin that wants none of it now.

use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Larder, Origin, Result};
use serde_json::json;

use super::{admin, ended, job, reports, x_cache};

#[tokio::test]
async fn while_clients_have_all_places_of_the_upstream_nothing_is_fetched() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/slow", Answer::ok().header("Cache-Control", "no-store").wait("held").body("x"));
    origin.always("GET", "/a", Answer::ok().body("x"));
    let upstream = format!("[upstreams.api]\nurl = \"{}\"\nmax_requests = 1\n", origin.url());
    let larder = Larder::before(&origin, &format!("{upstream}{}", job("listings", &["/a"], "on = []"))).await?;
    let mut client = larder.connect().await?;
    client.send("GET", "/slow", &[("Host", "a.example")], "").await?;
    origin.wait_for_requests(1).await?;
    admin(&larder, "POST", "/warm", &json!({ "jobs": ["listings"] })).await?;
    let waits = || async { Ok((reports(&larder).await?[0]["waiting"] == true).then_some(())) };
    eventually("waiting for the job to wait", waits).await?;
    assert_eq!(origin.request_count(), 1);
    origin.gate("held").open();
    client.finish().await?;
    let report = ended(&larder, "listings").await?;
    assert_eq!((&report["stored"], &report["waiting"]), (&json!(1), &json!(false)));
    Ok(())
}

#[tokio::test]
async fn an_origin_that_asks_for_a_pause_gets_one_and_is_asked_again() -> Result<()> {
    let origin = Origin::start().await?;
    origin.times(2, "GET", "/a", Answer::new(429).header("Retry-After", "1").body("x"));
    origin.always("GET", "/a", Answer::ok().body("x"));
    origin.always("GET", "/never", Answer::new(503).header("Retry-After", "0").body("x"));
    let larder = Larder::before(&origin, &job("listings", &["/a", "/never"], "concurrency = 1")).await?;
    let report = ended(&larder, "listings").await?;
    assert_eq!(
        (&report["stored"], &report["failed"], &report["reasons"]),
        (&json!(1), &json!(1), &json!({ "server-error": 1 })),
        "{report}"
    );
    assert_eq!((x_cache(&larder, "/a").await?, origin.count_of("/a"), origin.count_of("/never")), ("HIT".to_owned(), 3, 3));
    Ok(())
}

#[tokio::test]
async fn a_stale_response_stands_in_while_the_upstream_has_no_place() -> Result<()> {
    let origin = Origin::start().await?;
    let stale = || Answer::ok().header("Cache-Control", "max-age=0, stale-if-error=600").header("ETag", "\"1\"");
    origin.once("GET", "/stale", stale().body("old"));
    origin.always("GET", "/stale", stale().body("new"));
    origin.always("GET", "/slow", Answer::ok().header("Cache-Control", "no-store").wait("held").body("x"));
    let upstream = format!("[upstreams.api]\nurl = \"{}\"\nmax_requests = 1\n", origin.url());
    let larder = Larder::before(&origin, &format!("{upstream}[cache]\nstale_if_overloaded = true\n")).await?;
    larder.get("/stale").await?;
    let mut client = larder.connect().await?;
    client.send("GET", "/slow", &[("Host", "a.example")], "").await?;
    origin.wait_for_requests(2).await?;
    let answer = larder.get("/stale").await?;
    assert_eq!((answer.text().as_str(), answer.x_cache()), ("old", "HIT"));
    assert!(answer.cache_status().contains("overloaded"), "{}", answer.cache_status());
    assert_eq!(origin.count_of("/stale"), 1);
    origin.gate("held").open();
    client.finish().await?;
    let fetched = || async { Ok((larder.get("/stale").await?.text() == "new").then_some(())) };
    eventually("waiting for a place", fetched).await?;
    Ok(())
}
