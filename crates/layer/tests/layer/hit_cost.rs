//! The cost of a hit: nothing to wait for, and at most two allocations of ours.

use crate::common;

use std::task::{Context, Poll, Waker};

use common::{Origin, get, header};
use larder_testkit::alloc::{CountingAllocator, allocations};
use larder_tower::{EffectiveTarget, Plain};
use tower_service::Service;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// As many fields as APIs send, one of them with a value of its own every time.
fn origin() -> Origin {
    Origin::new(|_| {
        common::response(200, "0123456789")
            .header("cache-control", "max-age=60")
            .header("content-type", "application/json")
            .header("etag", "\"v1\"")
            .header("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")
            .header("vary", "accept-encoding")
            .header("x-request-id", "7f3a")
            .header("server", "origin")
    })
}

#[tokio::test]
async fn a_hit_is_ready_at_once() {
    let cache = common::service(origin());
    common::send(&cache, get("/a?b=1&c=2")).await;
    let mut future = std::pin::pin!(cache.serve(get("/a?b=1&c=2"), EffectiveTarget::default(), |_| ()));
    let Poll::Ready(Ok(served)) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { panic!("a hit waited") };
    assert_eq!(header(&served.response, "x-cache"), "HIT");
}

#[tokio::test]
async fn a_hit_takes_at_most_two_allocations() {
    const HITS: u64 = 640;
    let cache = common::service(origin());
    // The first fills, the others grow what the thread and the map keep.
    for _ in 0..100 {
        common::send(&cache, get("/a?b=1&c=2")).await;
    }
    let mut total = 0;
    for _ in 0..HITS {
        let request = get("/a?b=1&c=2");
        let (served, counted) = allocations(|| {
            let mut future = std::pin::pin!(cache.serve(request, EffectiveTarget::default(), |_| ()));
            future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        assert!(matches!(&served, Poll::Ready(Ok(served)) if header(&served.response, "x-cache") == "HIT"));
        total += counted.count;
    }
    // The response's fields take two.
    assert!(total <= 2 * HITS, "{total} allocations in {HITS} hits");
}

/// The outcome in a response's extensions is a box in a map in a box.
#[tokio::test]
async fn a_hit_of_the_tower_service_takes_three_allocations_more() {
    let mut cache = common::service(origin());
    let mut total = 0;
    for turn in 0..740 {
        let request = get("/a?b=1&c=2");
        let (polled, counted) = allocations(|| {
            let mut future = std::pin::pin!(cache.call(request));
            future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        match polled {
            Poll::Ready(Ok(response)) => assert_eq!(header(&response, "x-cache"), "HIT"),
            Poll::Pending => common::send(&cache, get("/a?b=1&c=2")).await.body.map(drop).expect("it is stored"),
        }
        total += if turn < 100 { 0 } else { counted.count };
    }
    assert!(total <= 5 * 640, "{total} allocations in 640 hits");
}

#[tokio::test]
async fn a_hit_written_as_it_lies_in_the_store_allocates_nothing() {
    let cache = common::service(origin());
    for _ in 0..100 {
        common::send(&cache, get("/a?b=1&c=2")).await;
    }
    let mut request = get("/a?b=1&c=2").map(|_| ());
    let mut line_bytes = 0;
    let (answer, counted) = allocations(|| {
        let answer = cache.look_up_plain::<http_body_util::Empty<bytes::Bytes>>(&mut request, &EffectiveTarget::default())?.stored()?;
        answer.for_each_line(|name, value| line_bytes += name.as_str().len() + value.len());
        Some(answer)
    });
    let answer = answer.expect("a hit");
    let (mut one_by_one, mut at_once) = (Vec::new(), Vec::new());
    answer.for_each_line(|name, value| one_by_one.extend_from_slice(&[name.as_str().as_bytes(), b": ", value, b"\r\n"].concat()));
    assert_eq!((answer.put_lines(&mut at_once), String::from_utf8(at_once)), (Some(true), String::from_utf8(one_by_one)));
    assert_eq!((answer.status().as_u16(), answer.outcome.result.as_str()), (200, "HIT"));
    assert!(line_bytes > 100);
    assert_eq!(counted.count, 0);
}

/// RFC 9110 §9.3.2: a HEAD has the fields of a GET and no content.
#[tokio::test]
async fn a_hit_of_head_is_ready_at_once_without_content_and_costs_what_a_get_costs() {
    let cache = common::service(Origin::new(|_| {
        common::response(200, "0123456789").header("cache-control", "max-age=60").header("content-length", "10").header("etag", "\"v1\"")
    }));
    let serve = |method: &str| {
        let request = common::request(method, "/a?b=1&c=2", &[]);
        let (polled, counted) = allocations(|| {
            let mut future = std::pin::pin!(cache.serve(request, EffectiveTarget::default(), |_| ()));
            future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        let Poll::Ready(Ok(served)) = polled else { panic!("{method} waited") };
        (served, counted.count)
    };
    common::send(&cache, get("/a?b=1&c=2")).await;
    // The first ones grow what the thread keeps.
    for _ in 0..100 {
        drop((serve("GET"), serve("HEAD")));
    }
    let ((get, of_get), (head, of_head)) = (serve("GET"), serve("HEAD"));
    assert!(of_head <= of_get, "{of_head} allocations, {of_get} for GET");
    assert_eq!((head.response.status(), header(&head.response, "x-cache")), (get.response.status(), "HIT".to_owned()));
    assert_eq!(head.response.headers(), get.response.headers());
    assert_eq!(common::read(get.response, get.outcome).await.text(), "0123456789");
    assert_eq!(common::read(head.response, head.outcome).await.text(), "");
}

#[tokio::test]
async fn a_hit_of_head_tells_the_length_of_content_that_the_origin_did_not_announce() {
    let cache = common::service(origin());
    common::send(&cache, get("/a")).await;
    let head = common::send(&cache, common::request("HEAD", "/a", &[])).await;
    assert_eq!((head.x_cache().as_str(), header(&head.response, "content-length").as_str(), head.text()), ("HIT", "10", ""));
}

#[tokio::test]
async fn only_a_hit_is_answered_without_the_inner_service() {
    let cache = common::service(origin());
    let stored_status = |method: &str, uri: &str, fields: &[(&'static str, &'static str)]| {
        let mut request = http::Request::builder().method(method).uri(uri).body(()).expect("a request");
        *request.headers_mut() = get(uri).headers().clone();
        for (name, value) in fields {
            request.headers_mut().insert(*name, http::HeaderValue::from_static(value));
        }
        let found = cache.look_up_plain::<http_body_util::Empty<bytes::Bytes>>(&mut request, &EffectiveTarget::default());
        found.and_then(Plain::stored).map(|answer| answer.status().as_u16())
    };
    assert_eq!(stored_status("GET", "/a", &[]), None, "nothing is stored yet");
    common::send(&cache, get("/a")).await;
    assert_eq!(stored_status("GET", "/a", &[]), Some(200));
    assert_eq!(stored_status("HEAD", "/a", &[]), Some(200));
    assert_eq!(stored_status("GET", "/a", &[("if-none-match", "\"v1\"")]), Some(304));
    assert_eq!(stored_status("GET", "/a", &[("range", "bytes=1-2")]), Some(206));
    assert_eq!(stored_status("GET", "/a", &[("cache-control", "no-cache")]), None, "the origin is to be asked");
    assert_eq!(stored_status("GET", "/a", &[("authorization", "Bearer x")]), None, "it is for nobody in particular");
    assert_eq!(stored_status("POST", "/a", &[]), None);
}

/// RFC 9530 §2: a digest of the content is that of all of it.
#[tokio::test]
async fn a_part_of_a_hit_as_it_lies_in_the_store_has_no_digest_of_the_whole() {
    let cache = common::service(Origin::new(|_| {
        let reply = common::response(200, "0123456789").header("cache-control", "max-age=60");
        reply.header("content-digest", "sha-256=:AA==:").header("repr-digest", "sha-256=:BB==:")
    }));
    common::send(&cache, get("/a")).await;
    for (fields, expected) in [(&[("range", "bytes=1-2")][..], [false, true]), (&[], [true, true])] {
        let mut request = common::request("GET", "/a", fields).map(|_| ());
        let found = cache.look_up_plain::<http_body_util::Empty<bytes::Bytes>>(&mut request, &EffectiveTarget::default());
        let response = found.and_then(Plain::stored).expect("a hit").into_served().response;
        assert_eq!(["content-digest", "repr-digest"].map(|name| response.headers().contains_key(name)), expected, "{fields:?}");
    }
}

#[tokio::test]
async fn what_is_immutable_is_written_as_it_lies_in_the_store_and_head_has_its_length() {
    let cache = common::service(Origin::new(|_| {
        let body = http_body_util::Full::new(bytes::Bytes::from_static(b"0123456789"));
        let body = http_body_util::BodyExt::boxed_unsync(http_body_util::BodyExt::map_err(body, Into::into));
        common::streaming(200, body).header("cache-control", "max-age=60, immutable").header("etag", "\"v1\"")
    }));
    common::send(&cache, get("/a")).await;
    let plain = |method: &str| {
        let mut request = common::request(method, "/a", &[("cache-control", "max-age=0")]).map(|_| ());
        let found = cache.look_up_plain::<http_body_util::Empty<bytes::Bytes>>(&mut request, &EffectiveTarget::default());
        found.and_then(Plain::stored).expect("a hit")
    };
    for (method, body) in [("GET", 10), ("HEAD", 0)] {
        let answer = plain(method);
        assert_eq!(answer.outcome.reason, larder_semantics::Reason::Immutable);
        let mut lines = Vec::new();
        answer.put_lines(&mut lines).expect("it is copied out of the store");
        assert!(String::from_utf8(lines).unwrap().contains("cache-status: larder; hit; ttl=60; detail=immutable\r\n"));
        assert_eq!((answer.length(), http_body::Body::size_hint(&answer.body).exact()), (Some(10), Some(body)), "{method}");
        assert_eq!(header(&answer.into_served().response, "content-length"), if method == "HEAD" { "10" } else { "" });
    }
}
