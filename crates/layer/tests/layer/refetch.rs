//! Responses that a write invalidated, fetched again at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use http::request::Parts;
use larder_semantics::Target;
use larder_store::InvalidationTarget;
use larder_tower::{CacheService, Invalidates, Refetch, WriteRules};

use crate::common::{self, Origin, get, header, request, response, send, with_rules};

/// All responses that a write invalidates are fetched again.
#[derive(Debug, Default)]
struct Everything(OnceLock<CacheService<Origin>>);

impl WriteRules for Everything {
    fn invalidates(&self, _: &Parts, _: Target<'_>) -> Invalidates {
        Invalidates::default()
    }

    fn refetch(&self, _: &Parts, target: Target<'_>, _: &[InvalidationTarget]) -> Vec<Refetch> {
        let (template, ()) = http::Request::new(()).into_parts();
        self.0.get().expect("made").refetch_hot(target, &template)
    }
}

fn cache(origin: &Origin) -> CacheService<Origin> {
    let writes = Arc::new(Everything::default());
    let cache = with_rules(origin.clone(), common::builder().shared_writes(Arc::clone(&writes) as _).build()).0;
    writes.0.set(cache.clone()).expect("once");
    cache
}

fn versions() -> Origin {
    let version = AtomicUsize::new(0);
    Origin::new(move |request| match request.method().as_str() {
        "PUT" => {
            version.fetch_add(1, Ordering::SeqCst);
            response(204, "")
        }
        _ => {
            let body = ["first", "second", "third"][version.load(Ordering::SeqCst)];
            response(200, body).header("cache-control", "max-age=60").header("vary", "x-flavour")
        }
    })
}

async fn wait_for_requests(origin: &Origin, count: usize) {
    while origin.count() < count {
        tokio::task::yield_now().await;
    }
}

async fn flavour(cache: &CacheService<Origin>, flavour: &str) -> (String, String) {
    let read = send(cache, request("GET", "/a?b=1", &[("x-flavour", flavour), ("authorization", "none")][..1])).await;
    (read.x_cache(), read.text().to_owned())
}

#[tokio::test]
async fn each_variant_that_was_asked_for_comes_back_by_itself() {
    let origin = versions();
    let cache = cache(&origin);
    for value in ["sweet", "sour", "sweet"] {
        flavour(&cache, value).await;
    }
    send(&cache, request("PUT", "/a?b=1", &[("x-flavour", "salty")])).await;
    wait_for_requests(&origin, 4).await;
    assert_eq!(
        (origin.target(3).as_str(), header_of(&origin, 3, "x-flavour"), header_of(&origin, 3, "host")),
        ("/a?b=1", "sweet".into(), "example.com".into())
    );
    while flavour(&cache, "sweet").await.0 != "HIT" {
        tokio::task::yield_now().await;
    }
    assert_eq!(flavour(&cache, "sweet").await.1, "second");
    assert_eq!(flavour(&cache, "sour").await, ("MISS".to_owned(), "second".to_owned()));
}

fn header_of(origin: &Origin, n: usize, name: &str) -> String {
    origin.fields(n).get(name).map_or_else(String::new, |value| value.to_str().expect("text").to_owned())
}

#[tokio::test]
async fn a_request_meanwhile_shares_the_fetch() {
    let origin = versions();
    let cache = cache(&origin);
    for _ in 0..2 {
        flavour(&cache, "sweet").await;
    }
    send(&cache, request("PUT", "/a?b=1", &[])).await;
    assert_eq!(flavour(&cache, "sweet").await.1, "second");
    assert_eq!(origin.count(), 3);
}

#[tokio::test]
async fn without_a_free_refresh_it_is_fetched_at_the_next_request() {
    let origin = versions();
    let cache = cache(&origin);
    cache.cache().limit_refreshes(0);
    for _ in 0..2 {
        flavour(&cache, "sweet").await;
    }
    send(&cache, request("PUT", "/a?b=1", &[])).await;
    assert_eq!(header(&send(&cache, get("/other")).await.response, "x-cache"), "MISS");
    assert_eq!(origin.count(), 3, "nothing but the two reads and the write");
    assert_eq!(flavour(&cache, "sweet").await, ("MISS".to_owned(), "second".to_owned()));
}
