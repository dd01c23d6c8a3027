//! `verify`: what operators see of comparisons, the shadow mode, and a route that is stopped.

use larder_testkit::{Answer, Client, Larder, Origin, Result};
use serde_json::{Value, json};

async fn report(larder: &Larder) -> Result<Value> {
    let mut admin = Client::connect(larder.admin_address()).await?;
    Ok(serde_json::from_slice(&admin.exchange("GET", "/verify", &[], "").await?.body)?)
}

fn fresh(body: &str) -> Answer {
    Answer::ok().header("Content-Type", "application/json").header("Cache-Control", "public, max-age=60").body(body)
}

#[tokio::test]
async fn hits_are_compared_in_the_background_by_both_doors() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", fresh("{\"a\":1}"));
    origin.always("GET", "/a", fresh("{ \"a\": 2 }"));
    let larder = Larder::before(&origin, "[[routes]]\nname = \"pages\"\npath = \"/{*rest}\"\nverify = { sample = 1 }\n").await?;
    assert_eq!(larder.get("/a").await?.x_cache(), "MISS");
    assert_eq!(larder.get("/a").await?.x_cache(), "HIT");
    larder.metric_reaches("larder_verify_hits_total", &["outcome=\"differed\""], 1.0).await?;
    let said = report(&larder).await?;
    assert_eq!((&said[0]["route"], &said[0]["examples"][0]["places"]), (&json!("pages"), &json!(["$.a"])), "{said:#}");
    // A request with a condition takes the way past the plain door.
    larder.request("GET", "/a", &[("Connection", "x-a"), ("X-A", "1")], "").await?;
    larder.metric_reaches("larder_verify_hits_total", &["outcome=\"differed\""], 2.0).await
}

#[tokio::test]
async fn in_shadow_mode_clients_get_the_origins_answers_and_these_are_compared() -> Result<()> {
    let origin = Origin::start().await?;
    origin.once("GET", "/a", fresh("{\"a\":1}"));
    origin.once("GET", "/a", fresh("{\"a\":1}"));
    origin.always("GET", "/a", fresh("{\"a\":2}"));
    let larder = Larder::before(&origin, "[cache]\nverify = { mode = \"shadow\" }\n").await?;
    assert_eq!(larder.get("/a").await?.x_cache(), "MISS");
    let second = larder.get("/a").await?;
    assert_eq!((second.x_cache(), &second.body[..]), ("BYPASS", &b"{\"a\":1}"[..]));
    larder.metric_reaches("larder_verify_hits_total", &["outcome=\"agreed\""], 1.0).await?;
    assert_eq!(larder.get("/a").await?.body, b"{\"a\":2}");
    larder.metric_reaches("larder_verify_hits_total", &["outcome=\"differed\""], 1.0).await
}

#[tokio::test]
async fn a_route_that_leaks_stops_until_somebody_resumes_it() -> Result<()> {
    let origin = Origin::start().await?;
    // Ann's page is stored; Bob's is his own, each time he asks, and nobody's is another.
    for who in ["ann", "bob", "bob", "nobody", "bob"] {
        origin.once("GET", "/me", fresh(&format!("{{\"who\":\"{who}\"}}")));
    }
    origin.always("GET", "/me", fresh("{}"));
    let larder = Larder::before(
        &origin,
        "[[routes]]\nname = \"pages\"\npath = \"/{*rest}\"\nguard = \"off\"\nverify = { sample = 1, on_leak = \"stop\" }\n",
    )
    .await?;
    larder.request("GET", "/me", &[("Authorization", "Bearer a")], "").await?;
    assert_eq!(larder.request("GET", "/me", &[("Authorization", "Bearer b")], "").await?.body, b"{\"who\":\"ann\"}");
    larder.metric_reaches("larder_verify_stopped", &["route=\"pages\""], 1.0).await?;
    let passed = larder.get("/me").await?;
    assert!(
        passed.x_cache() == "BYPASS" && passed.header("cache-status").is_some_and(|status| status.contains("leak-found")),
        "{passed:?}"
    );
    let mut admin = Client::connect(larder.admin_address()).await?;
    let unknown = admin.exchange("POST", "/verify/resume/pagse", &[], "").await?;
    assert_eq!(unknown.status, 404);
    assert_eq!(admin.exchange("POST", "/verify/resume/pages", &[], "").await?.status, 200);
    assert_eq!(larder.get("/me").await?.x_cache(), "MISS");
    assert_eq!(admin.exchange("POST", "/verify/resume/pages", &[], "").await?.status, 409);
    Ok(())
}
