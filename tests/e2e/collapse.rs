//! Collapsed forwarding under many clients; `scenarios/collapse` has its rules one by one.

use std::collections::HashMap;
use std::sync::Arc;

use larder_testkit::{Answer, Error, Larder, Origin, Response, Result};

/// Sends `count` requests at once, each on a connection of its own, and waits for all responses.
async fn crowd(larder: &Arc<Larder>, count: usize) -> Result<Vec<Response>> {
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..count {
        let larder = Arc::clone(larder);
        asking.spawn(async move { larder.get("/a").await });
    }
    let mut responses = Vec::with_capacity(count);
    while let Some(response) = asking.join_next().await {
        responses.push(response.map_err(Error::from)??);
    }
    Ok(responses)
}

#[tokio::test]
async fn five_hundred_requests_for_a_cold_key_are_one_upstream() -> Result<()> {
    let origin = Origin::start().await?;
    let body = "x".repeat(100_000);
    origin.once("GET", "/a", Answer::ok().chunk(&body[..50_000]).wait("middle").chunk(&body[50_000..]));
    let larder = Arc::new(Larder::before(&origin, "[cache]\nttl = \"60s\"").await?);
    let opener = async {
        larder.metric_reaches("larder_collapsed_followers_total", &[], 499.0).await?;
        origin.gate("middle").open();
        Ok(())
    };
    let (responses, opened) = tokio::join!(crowd(&larder, 500), opener);
    let responses: Vec<Response> = responses?;
    opened.map_err(|error: Error| error)?;
    assert_eq!(origin.request_count(), 1);
    assert!(responses.iter().all(|response| response.complete && response.text() == body));
    let mut results: HashMap<bool, usize> = HashMap::new();
    for response in &responses {
        assert_eq!(response.x_cache(), "MISS");
        *results.entry(response.cache_status().contains("collapsed")).or_default() += 1;
    }
    assert_eq!(results, HashMap::from([(false, 1), (true, 499)]));
    assert_eq!(larder.get("/a").await?.x_cache(), "HIT");
    origin.check()
}

#[tokio::test]
async fn requests_without_barriers_are_one_upstream_too() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().body("x"));
    let larder = Arc::new(Larder::before(&origin, "[cache]\nttl = \"60s\"").await?);
    let responses = crowd(&larder, 500).await?;
    assert!(responses.iter().all(|response| response.complete && response.text() == "x"));
    assert_eq!(origin.request_count(), 1);
    origin.check()
}
