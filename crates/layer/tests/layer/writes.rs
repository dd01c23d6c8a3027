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
    assert_eq!((hit.response.status().as_u16(), hit.x_cache().as_str(), hit.text()), (200, "HIT", "made"), "nothing is created by a GET");
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
async fn rfc9110_8_7_a_later_get_is_answered_by_a_put_that_says_it_is_the_representation() {
    let origin = Origin::new(|request| match request.method().as_str() {
        "PUT" => response(201, "new").header("cache-control", "max-age=60").header("content-location", "/a").header("etag", "\"2\""),
        _ => response(200, "old").header("cache-control", "max-age=60").header("etag", "\"1\""),
    });
    for (store_put, result, text) in [(true, "HIT", "new"), (false, "MISS", "old")] {
        let policy = larder_semantics::Policy::default().with(|policy| policy.store_put = store_put);
        let (cache, _) = with_rules(origin.clone(), common::builder().policy(policy).build());
        send(&cache, get("/a")).await;
        let put = send(&cache, request("PUT", "/a", &[])).await;
        assert_eq!((put.response.status().as_u16(), put.text()), (201, "new"));
        let read = send(&cache, get("/a")).await;
        assert_eq!((read.x_cache().as_str(), read.text(), read.response.status().as_u16()), (result, text, 200));
    }
}

#[derive(Debug)]
struct ReadElsewhere(Arc<larder_tower::RouteRules>);

impl larder_tower::WriteRules for ReadElsewhere {
    fn invalidates(&self, _: &http::request::Parts, _: larder_semantics::Target<'_>) -> larder_tower::Invalidates {
        larder_tower::Invalidates::default()
    }

    fn readings(&self, _: larder_semantics::Target<'_>) -> Vec<Arc<larder_tower::RouteRules>> {
        vec![Arc::clone(&self.0)]
    }
}

#[tokio::test]
async fn an_answer_to_a_write_is_stored_under_the_rules_of_reads() {
    let origin = Origin::new(|_| created("/a").header("cache-control", "public"));
    let reading = Arc::new(common::builder().name("reads").build());
    let writing = common::builder().writes(ReadElsewhere(Arc::clone(&reading))).build();
    let (cache, _) = with_rules(origin.clone(), writing);
    let reads = larder_tower::CacheService::new(origin, Arc::clone(cache.cache()), reading);
    send(&cache, request("POST", "/a", &[])).await;
    assert_eq!(send(&reads, get("/a")).await.x_cache(), "HIT");
    let purge = |name: &str| larder_store::Invalidation::hard([larder_store::InvalidationTarget::Route(name.to_owned())]);
    cache.cache().invalidate(&purge("test")).await;
    assert_eq!(send(&reads, get("/a")).await.x_cache(), "HIT");
    cache.cache().invalidate(&purge("reads")).await;
    assert_eq!(send(&reads, get("/a")).await.x_cache(), "MISS");
}

#[tokio::test]
async fn rfc9111_4_4_what_a_write_makes_old_is_named_as_reads_have_it() {
    let origin = Origin::new(|_| response(200, "ok").header("cache-control", "max-age=60").header("location", "/b?page=3&x=1"));
    let reading = Arc::new(common::builder().drop_parameters(["utm_*", "page"]).build());
    let writing = common::builder().writes(ReadElsewhere(Arc::clone(&reading))).build();
    let (cache, _) = with_rules(origin.clone(), writing);
    let reads = larder_tower::CacheService::new(origin, Arc::clone(cache.cache()), reading);
    for target in ["/a?page=1&x=1", "/b?x=1"] {
        send(&reads, get(target)).await;
        assert_eq!(send(&reads, get(target)).await.x_cache(), "HIT");
        send(&cache, request("DELETE", "/a?page=2&x=1", &[])).await;
        assert_eq!(send(&reads, get(target)).await.x_cache(), "MISS", "{target}");
    }
}

/// As after a reload: other rules have come into force meanwhile.
#[derive(Debug, Default)]
struct Replaced(std::sync::Mutex<std::sync::Weak<()>>);

impl larder_tower::WriteRules for Replaced {
    fn invalidates(&self, _: &http::request::Parts, _: larder_semantics::Target<'_>) -> larder_tower::Invalidates {
        let kept = Arc::new(());
        *self.0.lock().expect("no panic") = Arc::downgrade(&kept);
        let mut invalidates = larder_tower::Invalidates::default();
        invalidates.keeps = Some(kept);
        invalidates
    }

    fn invalidates_since(&self, _: &http::request::Parts, _: larder_semantics::Target<'_>) -> Vec<larder_store::InvalidationTarget> {
        assert!(self.0.lock().expect("no panic").upgrade().is_some(), "it is kept until the write has ended");
        vec![larder_store::InvalidationTarget::Url("http://example.com/b".to_owned())]
    }
}

#[tokio::test]
async fn a_write_heeds_the_rules_that_came_into_force_while_it_was_under_way() {
    for status in [204, 409] {
        let origin = Origin::new(move |request| match request.method().as_str() {
            "PUT" => response(status, ""),
            _ => response(200, "ok").header("cache-control", "max-age=60"),
        });
        let rules = Arc::new(Replaced::default());
        let (cache, _) = with_rules(origin, common::builder().shared_writes(Arc::clone(&rules) as _).build());
        send(&cache, get("/b")).await;
        send(&cache, request("PUT", "/a", &[])).await;
        assert_eq!(send(&cache, get("/b")).await.x_cache(), if status == 204 { "MISS" } else { "HIT" });
        assert!(rules.0.lock().expect("no panic").upgrade().is_none());
    }
}

#[tokio::test]
async fn a_post_larger_than_the_route_keeps_passes_through() {
    let origin = Origin::new(|_| response(200, "0123456789").header("cache-control", "max-age=60").header("content-location", "/a"));
    let (cache, _) = with_rules(origin, common::builder().max_object(5).build());
    assert_eq!(send(&cache, request("POST", "/a", &[])).await.text(), "0123456789");
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "MISS");
}

#[tokio::test]
async fn a_write_whose_client_leaves_makes_old_what_it_names_all_the_same() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = {
        let gate = Arc::clone(&gate);
        Origin::waiting(move |request: Request<RequestBody>| {
            let gate = Arc::clone(&gate);
            async move {
                if request.method() == "PUT" {
                    gate.acquire().await.expect("open").forget();
                    return Ok(response(204, "").header("location", "/b").build());
                }
                Ok(response(200, "x").header("cache-control", "max-age=60").build())
            }
        })
    };
    let cache = common::service(origin);
    for path in ["/a", "/b"] {
        send(&cache, get(path)).await;
    }
    drop(common::start(&cache, [request("PUT", "/a", &[])]));
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT", "the origin has not answered yet");
    gate.add_permits(1);
    while send(&cache, request("GET", "/a", &[("cache-control", "only-if-cached")])).await.x_cache() == "HIT" {
        tokio::task::yield_now().await;
    }
    assert_eq!(send(&cache, get("/b")).await.x_cache(), "MISS");
}

#[tokio::test]
async fn a_write_whose_service_panics_makes_old_what_it_may_have_changed() {
    let origin = Origin::waiting(|request: Request<RequestBody>| async move {
        assert!(request.method() != "POST", "it panics after it has written");
        Ok(response(200, "x").header("cache-control", "max-age=60").build())
    });
    let cache = common::service(origin);
    send(&cache, get("/a")).await;
    let writing = tokio::spawn(common::start(&cache, [request("POST", "/a", &[])]).remove(0));
    assert!(writing.await.is_err_and(|end| end.is_panic()));
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "MISS");
}
