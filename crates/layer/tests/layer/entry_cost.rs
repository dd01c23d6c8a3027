//! The cost of an entry in memory, as the allocator keeps it, and whether its weight says so.

use crate::common::{self, Instant};

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::DATE;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use larder_semantics::Timestamp;
use larder_testkit::alloc::held;
use larder_tower::clock::Clock;
use larder_tower::{Cache, CacheService, EffectiveTarget, RequestBody};

const ENTRIES: u64 = 25_000;
const BODY: usize = 1024;

/// Bytes an entry takes over its payload, with its part of the tables.
const MAX: i64 = 412;

/// Nine fields, as APIs send them. The `Date` is another one each time.
fn answer(number: u64) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(vec![b'x'; BODY])));
    for (name, value) in [
        ("content-type", "application/json; charset=utf-8"),
        ("content-length", "1024"),
        ("cache-control", "public, max-age=3600"),
        ("etag", "\"33a64df551425fcc\""),
        ("last-modified", "Fri, 20 Nov 2026 08:00:00 GMT"),
        ("server", "sample/1.0"),
        ("x-request-id", "7f3a9c52-11d0-4c4b"),
        ("x-content-type-options", "nosniff"),
    ] {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response.headers_mut().insert(DATE, Timestamp::from_secs(1_795_219_200 + number).to_http_date());
    response
}

fn target(number: u64) -> String {
    format!("/1024/api/v1/issues?page={number}&project=storefront-of-the-north")
}

fn ask<F>(cache: &CacheService<Instant<F>>, number: u64)
where
    F: Fn(&Request<RequestBody>) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
{
    let read = async {
        let served = cache.serve(common::get(&target(number)), EffectiveTarget::default(), |_| ()).await.expect("an answer");
        served.response.into_body().collect().await.expect("a body").to_bytes().len()
    };
    assert_eq!(pin!(read).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(BODY));
}

#[test]
fn an_entry_costs_little_over_its_payload_and_weighs_what_it_costs() {
    let (clock, _) = Clock::manual(common::START);
    let origin = Instant(|request: &Request<RequestBody>| {
        let query = request.uri().query().expect("a query");
        answer(query["page=".len()..query.find('&').expect("two")].parse().expect("a number"))
    });
    let cache = CacheService::new(origin, Cache::builder(1 << 30).max_object(8 << 20).clock(clock).build(), Arc::new(common::rules()));
    // The shape, and what a thread keeps.
    for number in 0..10 {
        ask(&cache, number);
    }
    let weight = || cache.cache().stats().memory.bytes;
    let (before, weighed) = (held(), weight());
    for number in 10..ENTRIES + 10 {
        ask(&cache, number);
    }
    let each = |bytes: i64| bytes / ENTRIES as i64 - BODY as i64;
    let (filled, weighed) = (each(held() - before), each((weight() - weighed) as i64));
    for number in 10..ENTRIES + 10 {
        ask(&cache, number);
    }
    let served = each(held() - before);
    println!("{filled} bytes an entry over its payload, {served} once it was served; weighed as {weighed}");
    assert!(filled <= served && served <= MAX, "{filled} bytes an entry over its payload, {served} once it was served");
    assert!((served - weighed).abs() <= served / 20, "{served} bytes an entry over its payload weigh {weighed}");
}
