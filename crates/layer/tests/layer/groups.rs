//! RFC 9875: answers to writes name groups of stored responses, which are invalidated together.

use crate::common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Origin, get, request, response, send};
use larder_tower::CacheService;

const LIFETIME: (&str, &str) = ("cache-control", "max-age=60");

/// Reads are of the group that their path names, beside one that is everybody's; a write, and `/safe`, name `news`. `/error` fails.
fn grouped() -> Origin {
    Origin::new(|request| {
        let path = request.uri().path();
        let reply = response(if path == "/error" { 500 } else { 200 }, "x").header("cache-group-invalidation", r#""news";a=1, "other""#);
        match request.method().as_str() {
            "GET" if path != "/safe" => {
                response(200, "x").header(LIFETIME.0, LIFETIME.1).header("cache-groups", &format!(r#""all", "{}""#, &path[1..]))
            }
            _ => reply,
        }
    })
}

async fn x_cache(cache: &CacheService<Origin>, url: &str) -> String {
    send(cache, get(url)).await.x_cache()
}

/// What is stored of these URLs after a request.
async fn hits_after(method: &str, url: &str) -> Vec<bool> {
    const URLS: [&str; 4] = ["http://a.example/news", "http://a.example/sport", "http://b.example/news", "http://a.example/News"];
    let cache = common::service(grouped());
    for url in URLS {
        assert_eq!(x_cache(&cache, url).await, "MISS");
        assert_eq!(x_cache(&cache, url).await, "HIT");
    }
    send(&cache, request(method, url, &[])).await;
    let mut hits = Vec::new();
    for url in URLS {
        hits.push(x_cache(&cache, url).await == "HIT");
    }
    hits
}

#[tokio::test]
async fn rfc9875_3_a_write_invalidates_the_groups_that_its_answer_names_within_its_origin() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "UNKNOWN"] {
        assert_eq!(hits_after(method, "http://a.example/write").await, [false, true, true, true], "{method}");
    }
    assert_eq!(hits_after("POST", "http://a.example/error").await, [false, true, true, true], "its origin says so, whatever the status");
    assert_eq!(hits_after("POST", "http://c.example/write").await, [true; 4]);
}

#[tokio::test]
async fn rfc9875_3_an_answer_to_a_safe_method_invalidates_nothing() {
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(hits_after(method, "http://a.example/safe").await, [true; 4], "{method}");
    }
}

#[tokio::test]
async fn rfc9875_2_2_1_what_a_write_makes_invalid_by_its_url_takes_no_group_with_it() {
    let cache = common::service(Origin::new(|request| match request.method().as_str() {
        "GET" => response(200, "x").header(LIFETIME.0, LIFETIME.1).header("cache-groups", r#""all""#),
        _ => response(204, ""),
    }));
    for path in ["/a", "/b"] {
        x_cache(&cache, path).await;
    }
    send(&cache, request("PUT", "/a", &[])).await;
    assert_eq!((x_cache(&cache, "/a").await.as_str(), x_cache(&cache, "/b").await.as_str()), ("MISS", "HIT"));
}

#[tokio::test]
async fn rfc9875_2_the_groups_of_a_304_take_the_place_of_those_before() {
    let reads = AtomicUsize::new(0);
    let origin = Origin::new(move |request| {
        if request.method() == "POST" {
            return response(204, "").header("cache-group-invalidation", &format!("{:?}", &request.uri().path()[1..]));
        }
        match reads.fetch_add(1, Ordering::Relaxed) {
            0 => {
                let stored = response(200, "first").header("etag", "\"1\"").header("cache-control", "max-age=60, no-cache");
                stored.header("cache-groups", r#""a""#)
            }
            1 => response(304, "").header("etag", "\"1\"").header(LIFETIME.0, LIFETIME.1).header("cache-groups", r#""b""#),
            _ => response(200, "second").header(LIFETIME.0, LIFETIME.1),
        }
    });
    let cache = common::service(origin);
    for _ in 0..3 {
        assert_eq!(send(&cache, get("/x")).await.text(), "first");
    }
    send(&cache, request("POST", "/a", &[])).await;
    assert_eq!(send(&cache, get("/x")).await.text(), "first");
    send(&cache, request("POST", "/b", &[])).await;
    assert_eq!(send(&cache, get("/x")).await.text(), "second");
}

#[tokio::test]
async fn rfc9875_2_a_part_and_the_stored_answer_to_a_write_are_of_their_groups_too() {
    let cache = common::service(Origin::new(|request| {
        let grouped = |reply: common::Reply| reply.header(LIFETIME.0, LIFETIME.1).header("cache-groups", r#""news""#);
        match (request.method().as_str(), request.uri().path()) {
            ("GET", "/part") => grouped(response(206, "01").header("etag", "\"1\"").header("content-range", "bytes 0-1/9999999")),
            ("POST", "/made") => grouped(response(200, "made").header("content-location", "/made")),
            ("GET", _) => response(200, "read"),
            _ => response(204, "").header("cache-group-invalidation", r#""news""#),
        }
    }));
    send(&cache, request("POST", "/made", &[])).await;
    let part = || request("GET", "/part", &[("range", "bytes=0-1")]);
    send(&cache, part()).await;
    assert_eq!([send(&cache, part()).await.x_cache(), x_cache(&cache, "/made").await], ["HIT", "HIT"]);
    send(&cache, request("POST", "/write", &[])).await;
    assert_eq!([send(&cache, part()).await.x_cache(), x_cache(&cache, "/made").await], ["MISS", "MISS"]);
}

#[tokio::test]
async fn rfc9875_2_1_hosts_that_share_responses_share_their_groups() {
    let (cache, _) = common::with_rules(grouped(), common::builder().key_host(false).build());
    assert_eq!(x_cache(&cache, "http://a.example/news").await, "MISS");
    assert_eq!(x_cache(&cache, "http://b.example/news").await, "HIT");
    send(&cache, request("POST", "http://b.example/write", &[])).await;
    assert_eq!(x_cache(&cache, "http://a.example/news").await, "MISS");
}
