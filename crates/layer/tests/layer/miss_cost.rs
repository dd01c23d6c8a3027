//! The cost of a miss in allocations, from the request to the stored response, with an origin whose answer is there at once.

use crate::common::{self, Instant};

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use larder_testkit::alloc::allocations;
use larder_tower::clock::Clock;
use larder_tower::{Cache, CacheService, EffectiveTarget, RequestBody};

/// Allocations of a miss: the origin's own two, those of its fields, and the store's tables as they grow, are among them.
const MAX: u64 = 28;

fn answer() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"0123456789")));
    for (name, value) in [("cache-control", "max-age=60"), ("content-type", "application/json"), ("etag", "\"v1\""), ("server", "origin")] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[test]
fn a_miss_takes_few_allocations() {
    const MISSES: u64 = 640;
    let (clock, _) = Clock::manual(common::START);
    let cache = CacheService::new(
        Instant(|_: &Request<RequestBody>| answer()),
        Cache::builder(64 << 20).max_object(1 << 20).clock(clock).build(),
        Arc::new(common::rules()),
    );
    let mut total = 0;
    for number in 0..MISSES {
        let request = common::get(&format!("/a?b={number}&c=2"));
        let (read, counted) = allocations(|| {
            let read = async {
                let served = cache.serve(request, EffectiveTarget::default(), |_| ()).await.expect("an answer");
                assert_eq!(common::header(&served.response, "x-cache"), "MISS");
                served.response.into_body().collect().await.expect("a body").to_bytes()
            };
            std::pin::pin!(read).as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        assert_eq!(read, Poll::Ready(Bytes::from_static(b"0123456789")));
        total += counted.count;
    }
    assert!(total <= MAX * MISSES, "{} allocations a miss", total / MISSES);
}
