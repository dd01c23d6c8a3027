//! Bodies that are too long for the memory: a tier takes them while they arrive, and they are read there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use larder_semantics::{GuardMode, Timestamp};
use larder_store::{Epoch, Ledger, SEGMENT};
use larder_tower::clock::Clock;
use larder_tower::{Cache, CacheService, EffectiveTarget, RequestBody, Tiers};

use crate::common::{self, Origin, OriginBody, Read, Reply, channel, frame, get, header, read, request, send, start, streaming};
use crate::shelf::Shelf;
use crate::tier_fake::FakeTier;

/// Two segments and some bytes.
const LENGTH: usize = 2 * SEGMENT + 77;

/// A cache that keeps bodies up to 100,000 bytes in memory, before the shelf and an origin.
fn cache(origin: &Origin) -> (CacheService<Origin>, Arc<Shelf>) {
    cache_of(64 << 20, origin, GuardMode::Off)
}

fn cache_of(capacity: u64, origin: &Origin, guard: GuardMode) -> (CacheService<Origin>, Arc<Shelf>) {
    let (clock, _) = Clock::manual(common::START);
    cache_by(clock, capacity, origin, guard)
}

fn cache_by(clock: Clock, capacity: u64, origin: &Origin, guard: GuardMode) -> (CacheService<Origin>, Arc<Shelf>) {
    let (ledger, shelf) = (Arc::new(Ledger::default()), Arc::new(Shelf::default()));
    ledger.enter(Epoch::of("one"));
    let cache =
        Cache::builder(capacity).max_in_memory(100_000).clock(clock).ledger(ledger).tiers(Tiers::new().then(Arc::clone(&shelf) as _));
    (CacheService::new(origin.clone(), cache.build(), Arc::new(common::builder().max_object(64 << 20).guard(guard).build())), shelf)
}

fn content() -> Bytes {
    (0..LENGTH).map(|at| (at % 251) as u8).collect()
}

/// An origin that answers with all of it, or with the range that is asked for.
fn origin() -> Origin {
    Origin::new(|request| {
        let first = first_byte(request);
        answer(first, Full::new(content().slice(first..)).map_err(Into::into).boxed_unsync())
    })
}

fn first_byte(request: &Request<RequestBody>) -> usize {
    request.headers().get("range").map_or(0, |range| {
        let range = range.to_str().unwrap();
        range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).and_then(|first| first.parse().ok()).expect("the rest")
    })
}

fn answer(first: usize, body: OriginBody) -> Reply {
    let reply = streaming(if first == 0 { 200 } else { 206 }, body).header("cache-control", "max-age=60").header("etag", "\"1\"");
    if first == 0 { reply } else { reply.header("content-range", &format!("bytes {first}-{}/{LENGTH}", LENGTH - 1)) }
}

/// An origin whose one answer the test sends.
fn held_back() -> (http_body_util::channel::Sender<Bytes, larder_tower::BoxError>, Origin) {
    let (sender, body) = channel();
    let body = Mutex::new(Some(body));
    let origin = Origin::new(move |_| {
        let body: OriginBody = body.lock().unwrap().take().expect("it is asked once");
        streaming(200, body).header("cache-control", "max-age=60").header("content-length", &LENGTH.to_string())
    });
    (sender, origin)
}

async fn serve(cache: &CacheService<Origin>) -> larder_tower::Served<OriginBody> {
    cache.serve(get("/a"), EffectiveTarget::default(), |_| ()).await.expect("an answer")
}

async fn settled(cache: &CacheService<Origin>) {
    while cache.cache().stats().fills_in_flight > 0 {
        tokio::task::yield_now().await;
    }
}

fn is_whole(read: &Read) -> bool {
    read.body.as_ref().is_ok_and(|body| *body == content())
}

#[tokio::test]
async fn a_body_too_long_for_the_memory_is_in_the_tier_alone() {
    let origin = origin();
    let (cache, shelf) = cache(&origin);
    let first = send(&cache, get("/a")).await;
    assert!(first.x_cache() == "MISS" && is_whole(&first));
    let second = send(&cache, get("/a")).await;
    assert!(second.x_cache() == "HIT" && is_whole(&second), "{:?}", second.response);
    let stats = cache.cache().stats();
    assert_eq!((origin.count(), stats.memory.entries, stats.bytes_in_flight, shelf.commits.load(Ordering::SeqCst)), (1, 0, 0, 0));
}

#[tokio::test]
async fn little_of_it_is_in_memory_however_slow_its_reader_is() {
    let (mut sender, origin) = held_back();
    let (cache, shelf) = cache(&origin);
    let slow = serve(&cache).await;
    for piece in content().chunks(64 << 10) {
        sender.send_data(Bytes::copy_from_slice(piece)).await.unwrap();
        tokio::task::yield_now().await;
        assert!(cache.cache().stats().bytes_in_flight <= 3 * SEGMENT as u64, "{}", cache.cache().stats().bytes_in_flight);
    }
    drop(sender);
    settled(&cache).await;
    assert_eq!((shelf.entries().len(), cache.cache().stats().bytes_in_flight), (1, 0), "its reader has held up nobody");
    assert!(is_whole(&read(slow.response, slow.outcome).await));
}

#[tokio::test]
async fn readers_in_a_tier_stay_within_an_eighth_and_what_comes_beyond_it_is_passed_on() {
    let (origin, eighth, short_read) = (origin(), 2 * SEGMENT as u64, 64 << 10);
    let (cache, shelf) = cache_of(8 * eighth, &origin, GuardMode::Off);
    assert!(is_whole(&send(&cache, get("/a")).await) && shelf.entries().len() == 1);
    let mut slow = Vec::new();
    for count in 1..=30 {
        let mut body = serve(&cache).await.response.into_body();
        assert!(frame(&mut body).await.unwrap().is_ok());
        slow.push(body);
        let held = cache.cache().stats().bytes_in_flight;
        assert!(held <= eighth + count * short_read, "{held} bytes for {count} readers");
    }
    for _ in 0..2 {
        let passed = send(&cache, get("/b")).await;
        assert!(passed.x_cache() == "MISS" && is_whole(&passed));
        settled(&cache).await;
        assert_eq!(shelf.entries().len(), 1, "there is no memory for its way into the tier");
    }
    for body in slow {
        assert!(!body.collect().await.unwrap().to_bytes().is_empty());
    }
    assert_eq!(cache.cache().stats().bytes_in_flight, 0);
    assert!(is_whole(&send(&cache, get("/b")).await));
    settled(&cache).await;
    assert_eq!(shelf.entries().len(), 2);
}

#[tokio::test]
async fn the_origin_stands_in_once_for_a_segment_that_is_read_little_by_little() {
    let origin = origin();
    let (cache, shelf) = cache_of(8 * SEGMENT as u64, &origin, GuardMode::Off);
    send(&cache, get("/a")).await;
    settled(&cache).await;
    // It holds all the memory that there is.
    let mut other = serve(&cache).await.response.into_body();
    assert!(frame(&mut other).await.unwrap().is_ok());
    shelf.faults.reads.store(true, Ordering::SeqCst);
    let read = send(&cache, get("/a")).await;
    assert!(read.x_cache() == "HIT" && is_whole(&read));
    assert_eq!(origin.count(), 2);
    drop(other);
    assert_eq!(cache.cache().stats().bytes_in_flight, 0);
}

#[tokio::test]
async fn a_request_that_comes_late_reads_from_the_start_while_the_body_arrives() {
    let (mut sender, origin) = held_back();
    let (cache, _shelf) = cache(&origin);
    let first = serve(&cache).await;
    let (beginning, rest) = (content().slice(..2 * SEGMENT), content().slice(2 * SEGMENT..));
    for piece in beginning.chunks(64 << 10) {
        sender.send_data(Bytes::copy_from_slice(piece)).await.unwrap();
        tokio::task::yield_now().await;
    }
    let late = serve(&cache).await;
    assert!(header(&late.response, "cache-status").contains("collapsed"), "{:?}", late.response);
    let mut late_body = late.response.into_body();
    assert_eq!(frame(&mut late_body).await.unwrap().unwrap(), content().slice(..SEGMENT));
    sender.send_data(rest).await.unwrap();
    drop(sender);
    assert_eq!(late_body.collect().await.unwrap().to_bytes(), content().slice(SEGMENT..));
    assert!(is_whole(&read(first.response, first.outcome).await));
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn a_range_is_read_where_it_is_and_nothing_before_it() {
    let origin = origin();
    let (cache, shelf) = cache(&origin);
    send(&cache, get("/a")).await;
    let before = shelf.reads().len();
    let (first, last) = (SEGMENT + 5, SEGMENT + 9);
    let range = send(&cache, request("GET", "/a", &[("range", &format!("bytes={first}-{last}"))])).await;
    assert_eq!((range.response.status().as_u16(), range.body.unwrap()), (206, content().slice(first..=last)));
    assert_eq!(shelf.reads()[before..], [1]);
    let suffix = send(&cache, request("GET", "/a", &[("range", "bytes=-3")])).await;
    assert_eq!((suffix.response.status().as_u16(), suffix.body.unwrap()), (206, content().slice(LENGTH - 3..)));
    let head = send(&cache, request("HEAD", "/a", &[])).await;
    assert_eq!((head.x_cache().as_str(), header(&head.response, "content-length")), ("HIT", LENGTH.to_string()));
    assert_eq!(shelf.reads()[before..], [1, 2], "a HEAD reads nothing");
}

#[tokio::test]
async fn a_tier_that_fails_costs_the_response_its_place_and_no_client_a_byte() {
    for failing in 1..=3 {
        let origin = origin();
        let (cache, shelf) = cache(&origin);
        shelf.faults.writes.store(failing, Ordering::SeqCst);
        assert!(is_whole(&send(&cache, get("/a")).await), "write {failing} fails");
        settled(&cache).await;
        assert_eq!((shelf.entries().len(), cache.cache().stats().bytes_in_flight), (0, 0));
        shelf.faults.writes.store(0, Ordering::SeqCst);
        assert!(is_whole(&send(&cache, get("/a")).await));
        assert_eq!(shelf.entries().len(), 1, "it is stored by the next fetch");
    }
}

#[tokio::test]
async fn the_origin_stands_in_for_segments_that_the_tier_cannot_read() {
    let origin = origin();
    let (cache, shelf) = cache(&origin);
    send(&cache, get("/a")).await;
    shelf.faults.reads.store(true, Ordering::SeqCst);
    let read = send(&cache, get("/a")).await;
    assert!(read.x_cache() == "HIT" && is_whole(&read));
    assert_eq!(origin.count(), 2, "it was asked once for all of them");
}

#[tokio::test]
async fn the_origin_stands_in_for_segments_of_a_body_that_is_still_arriving() {
    let (mut sender, body) = channel();
    let body = Mutex::new(Some(body));
    let origin = Origin::new(move |request| match body.lock().unwrap().take() {
        Some(body) => answer(0, body).header("content-length", &LENGTH.to_string()),
        None => {
            let first = first_byte(request);
            answer(first, Full::new(content().slice(first..)).map_err(Into::into).boxed_unsync())
        }
    });
    let (cache, shelf) = cache(&origin);
    let mut slow = serve(&cache).await.response.into_body();
    let pieces: Vec<Bytes> = content().chunks(64 << 10).map(Bytes::copy_from_slice).collect();
    let (last, before) = pieces.split_last().expect("some");
    for piece in before {
        sender.send_data(piece.clone()).await.unwrap();
        tokio::task::yield_now().await;
    }
    shelf.faults.reads.store(true, Ordering::SeqCst);
    let mut got = frame(&mut slow).await.expect("a frame").expect("the origin has it").to_vec();
    sender.send_data(last.clone()).await.unwrap();
    drop(sender);
    got.extend(slow.collect().await.expect("the rest").to_bytes());
    assert!(got == content(), "{} bytes", got.len());
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn the_origin_is_asked_once_for_each_of_several_readers_that_are_at_different_places() {
    let origin = origin();
    let (cache, shelf) = cache(&origin);
    send(&cache, get("/a")).await;
    settled(&cache).await;
    shelf.faults.reads.store(true, Ordering::SeqCst);
    let mut bodies = Vec::new();
    for asking in start(&cache, [get("/a"), get("/a")]) {
        bodies.push((asking.await.expect("an answer").response.into_body(), Vec::new()));
    }
    // One is two segments ahead of the other.
    for turn in [0, 0, 1, 0, 1, 1] {
        let (body, got) = &mut bodies[turn];
        got.extend(frame(body).await.expect("a frame").expect("the origin has it"));
    }
    assert!(bodies.iter().all(|(_, got)| *got == content()));
    assert_eq!(origin.count(), 3, "what was stored, and once for each");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_stands_in_and_falls_silent_ends_the_body() {
    let silent = Arc::new(Mutex::new(Vec::new()));
    let senders = Arc::clone(&silent);
    let origin = Origin::new(move |request| {
        let first = first_byte(request);
        if !request.headers().contains_key("if-range") {
            return answer(0, Full::new(content()).map_err(Into::into).boxed_unsync());
        }
        let (sender, body) = channel();
        senders.lock().unwrap().push(sender);
        answer(first, body).header("content-length", &(LENGTH - first).to_string())
    });
    let (cache, shelf) = cache(&origin);
    send(&cache, get("/a")).await;
    settled(&cache).await;
    shelf.faults.reads.store(true, Ordering::SeqCst);
    let read = tokio::time::timeout(Duration::from_secs(120), send(&cache, get("/a"))).await.expect("no body waits for ever");
    assert!(read.body.is_err() && silent.lock().unwrap().len() == 1);
}

#[tokio::test]
async fn a_body_that_no_tier_takes_stays_in_memory() {
    let origin = origin();
    let (cache, shelf) = cache(&origin);
    shelf.faults.refuses.store(true, Ordering::SeqCst);
    assert!(is_whole(&send(&cache, get("/a")).await));
    let second = send(&cache, get("/a")).await;
    assert!(second.x_cache() == "HIT" && is_whole(&second));
    assert_eq!((origin.count(), cache.cache().stats().memory.entries), (1, 1));
}

#[tokio::test]
async fn a_purge_holds_for_a_body_that_arrived_meanwhile_and_for_one_that_is_stored() {
    let (mut sender, origin) = held_back();
    let (cache, shelf) = cache(&origin);
    let arriving = serve(&cache).await;
    cache.cache().invalidate(&larder_store::Invalidation::hard([larder_store::InvalidationTarget::All])).await;
    for piece in content().chunks(64 << 10) {
        sender.send_data(Bytes::copy_from_slice(piece)).await.unwrap();
        tokio::task::yield_now().await;
    }
    drop(sender);
    assert!(is_whole(&read(arriving.response, arriving.outcome).await));
    assert_eq!(shelf.entries().len(), 0, "its fetch began before");
}

#[tokio::test]
async fn purges_of_other_things_are_remembered_for_as_long_as_a_body_in_a_tier_may_be_served() {
    let origin =
        Origin::new(|_| streaming(200, Full::new(content()).map_err(Into::into).boxed_unsync()).header("cache-control", "max-age=86400"));
    let (clock, hand) = Clock::manual(common::START);
    let (cache, _shelf) = cache_by(clock, 64 << 20, &origin, GuardMode::Off);
    send(&cache, get("/a")).await;
    settled(&cache).await;
    for seconds in [0, 1, 700] {
        hand.advance(seconds);
        cache.cache().invalidate(&larder_store::Invalidation::tag("other")).await;
    }
    let again = send(&cache, get("/a")).await;
    assert!(again.x_cache() == "HIT" && is_whole(&again), "{:?}", again.response);
}

#[tokio::test]
async fn a_guard_judges_a_body_that_goes_to_a_tier_by_its_beginning_and_its_digest() {
    // The content has all letters in their order.
    for (name, value, is_stored) in [("x-cdn-host", "abcdefgh", false), ("x-cdn-host", "hgfedcba", true)] {
        let origin = origin();
        let (cache, shelf) = cache_of(64 << 20, &origin, GuardMode::Refuse);
        assert!(is_whole(&send(&cache, request("GET", "/a", &[(name, value)])).await));
        settled(&cache).await;
        assert_eq!((shelf.entries().len(), cache.cache().stats().bytes_in_flight), (usize::from(is_stored), 0), "{value}");
    }
    let origin = Origin::new(|request| {
        let client = request.headers()["authorization"].as_bytes()[0];
        let body = Full::new(Bytes::from(vec![client; LENGTH])).map_err(Into::into).boxed_unsync();
        streaming(200, body).header("cache-control", "public, max-age=0").header("etag", &format!("\"{client}\""))
    });
    let (cache, shelf) = cache_of(64 << 20, &origin, GuardMode::Refuse);
    for (client, is_stored) in [("ann", true), ("bob", true), ("ann", false)] {
        send(&cache, request("GET", "/a", &[("authorization", client)])).await.body.expect("whole");
        settled(&cache).await;
        assert_eq!(!shelf.entries().is_empty(), is_stored, "{client}");
    }
}

#[tokio::test]
async fn a_fetch_that_renews_leaves_no_earlier_answer_before_the_tier() {
    let asked = AtomicUsize::new(0);
    let origin = Origin::new(move |_| {
        let body = if asked.fetch_add(1, Ordering::SeqCst) == 0 { Bytes::from_static(b"short") } else { content() };
        streaming(200, Full::new(body).map_err(Into::into).boxed_unsync()).header("cache-control", "max-age=60")
    });
    let (cache, shelf) = cache(&origin);
    assert_eq!(send(&cache, get("/a")).await.text(), "short");
    assert!(is_whole(&send(&cache, get("/a?no_cache")).await));
    settled(&cache).await;
    assert_eq!((shelf.entries().len(), cache.cache().stats().memory.entries), (1, 0));
    let hit = send(&cache, get("/a")).await;
    assert!(hit.x_cache() == "HIT" && is_whole(&hit), "{:?}", hit.response);
}

#[tokio::test]
async fn a_body_that_a_tier_takes_leaves_no_earlier_answer_in_a_tier_behind_it() {
    let asked = AtomicUsize::new(0);
    let origin = Origin::new(move |_| {
        let body = if asked.fetch_add(1, Ordering::SeqCst) == 0 { Bytes::from_static(b"short") } else { content() };
        streaming(200, Full::new(body).map_err(Into::into).boxed_unsync()).header("cache-control", "max-age=60")
    });
    let shared = Arc::new(FakeTier::shared("shared", &Arc::default()));
    // The second replica has nothing of the first answer in its memory, and fetches later: within a millisecond chance would say which of two is the later one.
    for (target, seconds, is_left) in [("/a", 0, true), ("/a?no_cache", 1, false)] {
        let start = Timestamp::from_secs(u64::from(common::START.as_secs()) + seconds);
        let (ledger, shelf) = (Arc::new(Ledger::default()), Arc::new(Shelf::default()));
        ledger.enter(Epoch::of("one"));
        let tiers = Tiers::new().then(shelf as _).then(Arc::clone(&shared) as _);
        let cache = Cache::builder(64 << 20).max_in_memory(100_000).clock(Clock::manual(start).0).ledger(ledger).tiers(tiers);
        let rules = Arc::new(common::builder().max_object(64 << 20).build());
        let cache = CacheService::new(origin.clone(), cache.build(), rules);
        send(&cache, get(target)).await.body.expect("whole");
        settled(&cache).await;
        assert_eq!(!shared.fetches().is_empty(), is_left, "{target}");
    }
}
