//! In front of json-server: a REST backend with writes, weak entity tags, `Cache-Control: no-cache` and `Vary: Origin, Accept-Encoding`.

use larder_testkit::larder::config;
use larder_testkit::{Larder, Result};
use larder_tests::JsonServer;
use serde_json::Value;

const DATABASE: &str = r#"{ "issues": [{ "id": 1, "title": "first" }, { "id": 2, "title": "second" }] }"#;

async fn start() -> Result<(JsonServer, Larder)> {
    let backend = JsonServer::start(DATABASE).await?;
    let larder = Larder::start(&config(&backend.url(), "")).await?;
    Ok((backend, larder))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn reads_are_validated_with_its_entity_tag() -> Result<()> {
    let (_backend, larder) = start().await?;
    let miss = larder.get("/issues").await?;
    assert_eq!((miss.status, miss.x_cache()), (200, "MISS"));
    let hit = larder.get("/issues").await?;
    assert_eq!((hit.x_cache(), hit.text()), ("HIT", miss.text()), "{}", hit.cache_status());
    assert!(hit.cache_status().contains("fwd-status=304"), "{}", hit.cache_status());
    let tag = hit.header("etag").unwrap_or_default().to_owned();
    assert!(tag.starts_with("W/"));
    let unchanged = larder.request("GET", "/issues", &[("If-None-Match", &tag)], "").await?;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    Ok(())
}

#[tokio::test]
async fn a_write_shows_in_the_next_read() -> Result<()> {
    let (_backend, larder) = start().await?;
    larder.get("/issues").await?;
    larder.get("/issues/1").await?;
    let fields = [("Content-Type", "application/json")];
    let made = larder.request("POST", "/issues", &fields, r#"{ "title": "third" }"#).await?;
    assert_eq!((made.status, made.x_cache()), (201, "BYPASS"));
    assert_eq!(json(&larder.get("/issues").await?.text()).as_array().map(Vec::len), Some(3));
    let changed = larder.request("PATCH", "/issues/1", &fields, r#"{ "title": "changed" }"#).await?;
    assert_eq!(changed.status, 200);
    assert_eq!(json(&larder.get("/issues/1").await?.text())["title"], "changed");
    assert_eq!(larder.request("DELETE", "/issues/2", &[], "").await?.status, 200);
    assert_eq!(larder.get("/issues/2").await?.status, 404);
    Ok(())
}

/// It answers each Origin with that origin in Access-Control-Allow-Origin: another's answer would be refused by the browser.
#[tokio::test]
async fn every_origin_gets_its_own_answer() -> Result<()> {
    let (_backend, larder) = start().await?;
    for _ in 0..2 {
        for origin in ["http://one.example", "http://two.example"] {
            let response = larder.request("GET", "/issues/1", &[("Origin", origin)], "").await?;
            assert_eq!(response.header("access-control-allow-origin"), Some(origin), "{response:?}");
        }
        assert_eq!(json(&larder.get("/issues/1").await?.text())["title"], "first");
    }
    let again = larder.request("GET", "/issues/1", &[("Origin", "http://one.example")], "").await?;
    assert_eq!(again.x_cache(), "HIT");
    Ok(())
}

#[tokio::test]
async fn queries_reach_it_and_keep_apart() -> Result<()> {
    let (_backend, larder) = start().await?;
    assert_eq!(json(&larder.get("/issues?title=second").await?.text())[0]["id"], 2);
    assert_eq!(json(&larder.get("/issues?title=first").await?.text())[0]["id"], 1);
    let page = larder.get("/issues?_page=1&_limit=1").await?;
    assert_eq!((page.header("x-total-count"), json(&page.text()).as_array().map(Vec::len)), (Some("2"), Some(1)));
    assert!(page.header("link").is_some());
    assert_eq!(larder.get("/issues?_limit=1&_page=1").await?.x_cache(), "HIT");
    Ok(())
}
