//! What a hit costs: nothing to wait for, and at most two allocations of ours.

use crate::common;

use std::task::{Context, Poll, Waker};

use common::{Origin, get, header};
use larder_testkit::alloc::{CountingAllocator, allocations};
use larder_tower::Caller;

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
    let mut future = std::pin::pin!(cache.serve(get("/a?b=1&c=2"), Caller::default(), |_| ()));
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
            let mut future = std::pin::pin!(cache.serve(request, Caller::default(), |_| ()));
            future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        assert!(matches!(&served, Poll::Ready(Ok(served)) if header(&served.response, "x-cache") == "HIT"));
        total += counted.count;
    }
    // The response's fields take two.
    assert!(total <= 2 * HITS, "{total} allocations in {HITS} hits");
}
