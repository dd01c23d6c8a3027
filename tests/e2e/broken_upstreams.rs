//! An upstream that is not there, and stale responses in its place. What an upstream that is there can do wrong is in `scenarios/errors`.

use larder_testkit::larder::config;
use larder_testkit::{Answer, Larder, Origin, Response, Result};

fn assert_problem(response: &Response, status: u16, error: &str) {
    assert_eq!(response.status, status);
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let proxy_status = response.header("proxy-status").unwrap_or_default();
    assert!(proxy_status.contains(&format!("error={error}")), "{proxy_status}");
    let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(problem["status"], status);
    for leak in ["127.0.0.1", "os error", "hyper", "src/", "Connect("] {
        assert!(!response.text().contains(leak), "{}", response.text());
    }
}

#[tokio::test]
async fn a_refused_connection_is_502() -> Result<()> {
    let mut origin = Origin::start().await?;
    let larder = Larder::before(&origin, "").await?;
    origin.stop().await;
    assert_problem(&larder.get("/a").await?, 502, "connection_refused");
    assert_problem(&larder.request("POST", "/a", &[], "x").await?, 502, "connection_refused");
    let head = larder.request("HEAD", "/a", &[], "").await?;
    assert_eq!((head.status, head.body.len()), (502, 0));
    Ok(())
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_502() -> Result<()> {
    let larder = Larder::start(&config("http://nowhere.invalid:1", "")).await?;
    assert_problem(&larder.get("/a").await?, 502, "dns_error");
    Ok(())
}

#[tokio::test]
async fn an_upstream_that_hangs_is_504() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().wait("never"));
    let rest = format!("[upstreams.api]\nurl = \"{}\"\nfirst_byte_timeout = \"200ms\"", origin.url());
    let larder = Larder::before(&origin, &rest).await?;
    assert_problem(&larder.get("/a").await?, 504, "http_response_timeout");
    Ok(())
}

#[tokio::test]
async fn a_stale_response_stands_in_for_an_upstream_that_is_gone() -> Result<()> {
    let mut origin = Origin::start().await?;
    let stale = Answer::ok().header("Cache-Control", "max-age=10, stale-if-error=60").header("Age", "15");
    origin.once("GET", "/a", stale.body("old"));
    let larder = Larder::before(&origin, "").await?;
    assert_eq!(larder.get("/a").await?.x_cache(), "MISS");
    origin.stop().await;
    let response = larder.get("/a").await?;
    assert_eq!((response.status, response.x_cache(), response.text().as_str()), (200, "HIT", "old"));
    assert_eq!(larder.get("/b").await?.status, 502);
    Ok(())
}

#[tokio::test]
async fn a_fresh_response_does_not_need_the_upstream() -> Result<()> {
    let mut origin = Origin::start().await?;
    origin.once("GET", "/a", Answer::ok().body("kept"));
    let larder = Larder::before(&origin, "[cache]\nttl = \"60s\"").await?;
    larder.get("/a").await?;
    origin.stop().await;
    assert_eq!(larder.get("/a").await?.x_cache(), "HIT");
    Ok(())
}
