//! Answers to POST that later GETs may use (RFC 9110 §9.3.3), and what overtakes them.

use crate::common;

use std::sync::Arc;

use common::{Origin, get, header, request, response, rules, send, with_rules};
use http::Request;
use larder_tower::RequestBody;
use tokio::sync::Semaphore;

fn created(path: &'static str) -> common::Reply {
    response(201, "made").header("cache-control", "max-age=60").header("content-location", path).header("set-cookie", "a=b; secure")
}

#[tokio::test]
async fn rfc9110_9_3_3_a_later_get_is_answered_by_a_post_that_says_so() {
    let origin = Origin::new(|request| match request.method().as_str() {
        "POST" => created("/a").header("cache-control", "public"),
        _ => response(200, "old").header("cache-control", "max-age=60"),
    });
    let cache = common::service(origin.clone());
    send(&cache, get("/a")).await;
    let post = send(&cache, request("POST", "/a", &[])).await;
    assert_eq!((post.response.status().as_u16(), post.x_cache().as_str(), post.text()), (201, "BYPASS", "made"));
    assert_eq!(header(&post.response, "set-cookie"), "a=b; secure");
    assert!(header(&post.response, "cache-status").contains("fwd=method; fwd-status=201; stored"), "{:?}", post.response);
    let hit = send(&cache, get("/a")).await;
    assert_eq!((hit.response.status().as_u16(), hit.x_cache().as_str(), hit.text()), (201, "HIT", "made"));
    assert_eq!(header(&hit.response, "set-cookie"), "");
    assert_eq!(origin.count(), 2);
    send(&cache, request("POST", "/a", &[])).await;
    assert_eq!(origin.count(), 3, "a POST is never answered from the store");
}

#[tokio::test]
async fn rfc9110_9_3_3_a_post_that_names_something_else_is_not_stored() {
    let origin = Origin::new(|_| created("/b").header("cache-control", "public"));
    let cache = common::service(origin.clone());
    send(&cache, request("POST", "/a", &[])).await;
    for path in ["/a", "/b"] {
        assert_eq!(send(&cache, get(path)).await.x_cache(), "MISS");
    }
}

#[tokio::test]
async fn a_variant_is_found_by_the_fields_of_the_post() {
    let origin = Origin::new(|request| match request.method().as_str() {
        "POST" => response(200, "sweet").header("cache-control", "max-age=60").header("content-location", "/a").header("vary", "x-flavour"),
        _ => response(200, "other").header("cache-control", "max-age=60").header("vary", "x-flavour"),
    });
    let cache = common::service(origin);
    send(&cache, request("POST", "/a", &[("x-flavour", "sweet")])).await;
    assert_eq!(send(&cache, request("GET", "/a", &[("x-flavour", "sweet")])).await.text(), "sweet");
    assert_eq!(send(&cache, request("GET", "/a", &[("x-flavour", "sour")])).await.text(), "other");
}

#[tokio::test]
async fn a_post_that_another_invalidation_overtook_is_not_stored() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = {
        let gate = Arc::clone(&gate);
        Origin::waiting(move |request: Request<RequestBody>| {
            let gate = Arc::clone(&gate);
            async move {
                match request.method().as_str() {
                    "POST" => {
                        gate.acquire().await.expect("open").forget();
                        Ok(response(200, "made").header("cache-control", "max-age=60").header("content-location", "/a").build())
                    }
                    "PUT" => Ok(response(204, "").build()),
                    _ => Ok(response(200, "newest").header("cache-control", "max-age=60").build()),
                }
            }
        })
    };
    let (cache, _) = with_rules(origin.clone(), rules());
    let post = common::start(&cache, [request("POST", "/a", &[])]);
    send(&cache, request("PUT", "/a", &[])).await;
    gate.add_permits(1);
    let post = common::finish(post).await.remove(0).expect("an answer");
    assert_eq!(post.text(), "made");
    assert!(!header(&post.response, "cache-status").contains("stored"), "{:?}", post.response);
    let read = send(&cache, get("/a")).await;
    assert_eq!((read.x_cache().as_str(), read.text()), ("MISS", "newest"));
}

#[tokio::test]
async fn a_post_larger_than_the_route_keeps_passes_through() {
    let origin = Origin::new(|_| response(200, "0123456789").header("cache-control", "max-age=60").header("content-location", "/a"));
    let (cache, _) = with_rules(origin, larder_tower::RouteRules { max_object: 5, ..rules() });
    assert_eq!(send(&cache, request("POST", "/a", &[])).await.text(), "0123456789");
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "MISS");
}
