//! Purges against what is stored and what is in flight.

use crate::common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Origin, OriginBody, channel, finish, get, header, read, request, response, send, start, streaming, with_rules};
use http::HeaderMap;
use http::request::Parts;
use http_body_util::{BodyExt, Full};
use larder_semantics::Reason;
use larder_store::{Invalidation, InvalidationTarget};
use larder_tower::clock::Clock;
use larder_tower::{Cache, CacheService, ServeFuture, TagSource};
use tokio::sync::Semaphore;

fn counting() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::new(move |_| {
        let body = ["first", "second", "third"][count.fetch_add(1, Ordering::Relaxed).min(2)];
        response(200, body).header("cache-control", "max-age=60").header("x-keys", "a b")
    })
}

/// Tags from the path's last segment, and from a response field.
#[derive(Debug)]
struct Named;

impl TagSource for Named {
    fn tags(&self, request: &Parts) -> Option<Vec<String>> {
        Some(request.uri.path().rsplit('/').next().map(|last| format!("last:{last}")).into_iter().collect())
    }

    fn take_tags(&self, response: &mut HeaderMap) -> Option<Vec<String>> {
        let keys = response.remove("x-keys");
        Some(keys.iter().flat_map(|keys| keys.to_str().unwrap_or_default().split(' ')).map(str::to_owned).collect())
    }
}

fn tagged(origin: Origin) -> CacheService<Origin> {
    let rules = common::builder().tags(Named).class("project").build();
    with_rules(origin, rules).0
}

async fn purge(cache: &CacheService<Origin>, target: InvalidationTarget) {
    cache.cache().invalidate(&Invalidation::hard([target])).await;
}

#[tokio::test]
async fn rfc9111_4_3_4_a_304_that_names_tags_replaces_those_named_before() {
    let count = AtomicUsize::new(0);
    let origin = Origin::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => response(200, "first").header("etag", "\"1\"").header("cache-control", "max-age=60, no-cache").header("x-keys", "a b"),
        1 => response(304, "").header("etag", "\"1\"").header("cache-control", "max-age=60").header("x-keys", "c"),
        _ => response(200, "second").header("cache-control", "max-age=60"),
    });
    let cache = tagged(origin);
    let ask = || get("http://a.example/x/7");
    for _ in 0..3 {
        assert_eq!(send(&cache, ask()).await.text(), "first");
    }
    purge(&cache, InvalidationTarget::Tag("a".to_owned())).await;
    assert_eq!(send(&cache, ask()).await.text(), "first");
    purge(&cache, InvalidationTarget::Tag("c".to_owned())).await;
    assert_eq!(send(&cache, ask()).await.text(), "second");
}

#[tokio::test]
async fn a_304_that_names_no_tags_leaves_those_there_are() {
    let count = AtomicUsize::new(0);
    let origin = Origin::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => response(200, "first").header("etag", "\"1\"").header("cache-control", "max-age=60, no-cache").header("x-keys", "a"),
        1 => response(304, "").header("etag", "\"1\"").header("cache-control", "max-age=60"),
        _ => response(200, "second").header("cache-control", "max-age=60"),
    });
    let cache = tagged(origin);
    for _ in 0..3 {
        assert_eq!(send(&cache, get("http://a.example/x/7")).await.text(), "first");
    }
    purge(&cache, InvalidationTarget::Tag("a".to_owned())).await;
    assert_eq!(send(&cache, get("http://a.example/x/7")).await.text(), "second");
}

/// The purge comes while the origin is asked.
#[tokio::test]
async fn a_purge_by_a_tag_that_a_304_takes_away_still_counts() {
    let gate = Arc::new(Semaphore::new(0));
    let count = Arc::new(AtomicUsize::new(0));
    let origin = {
        let gate = Arc::clone(&gate);
        Origin::waiting(move |_| {
            let (gate, number) = (Arc::clone(&gate), count.fetch_add(1, Ordering::Relaxed));
            async move {
                if number == 1 {
                    gate.acquire().await.expect("open").forget();
                }
                Ok(match number {
                    0 => {
                        response(200, "first").header("etag", "\"1\"").header("cache-control", "max-age=60, no-cache").header("x-keys", "a")
                    }
                    1 => response(304, "").header("etag", "\"1\"").header("cache-control", "max-age=60").header("x-keys", "c"),
                    _ => response(200, "second").header("cache-control", "max-age=60"),
                }
                .build())
            }
        })
    };
    let cache = tagged(origin.clone());
    let ask = || get("http://a.example/x/7");
    assert_eq!(send(&cache, ask()).await.text(), "first");
    let validating = start(&cache, [ask()]);
    while origin.count() < 2 {
        tokio::task::yield_now().await;
    }
    purge(&cache, InvalidationTarget::Tag("a".to_owned())).await;
    gate.add_permits(1);
    assert_eq!(finish(validating).await.remove(0).expect("an answer").text(), "first");
    assert_eq!(send(&cache, ask()).await.text(), "second");
}

/// The new page is as long as the old one, and has no validator either.
#[tokio::test]
async fn a_head_makes_no_page_fresh_again_that_is_purged_softly_or_expired() {
    for soft in [true, false] {
        let gets = AtomicUsize::new(0);
        let origin = Origin::new(move |request| match request.method().as_str() {
            "HEAD" => streaming(200, Full::default().map_err(Into::into).boxed_unsync()).header("cache-control", "max-age=60"),
            _ if gets.fetch_add(1, Ordering::Relaxed) == 0 => response(200, "old").header("cache-control", "max-age=60"),
            _ => response(200, "new").header("cache-control", "max-age=60"),
        });
        let (cache, hand) = with_rules(origin.clone(), common::rules());
        assert_eq!(send(&cache, get("/a")).await.text(), "old");
        if soft {
            cache.cache().invalidate(&Invalidation::soft([InvalidationTarget::All])).await;
        } else {
            hand.advance(61);
        }
        assert_eq!(send(&cache, request("HEAD", "/a", &[("cache-control", "no-cache")])).await.x_cache(), "MISS");
        // What is purged softly may be given once more while it is fetched.
        assert_ne!(send(&cache, get("/a")).await.outcome.reason, Reason::Fresh, "soft: {soft}");
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!((send(&cache, get("/a")).await.text(), origin.count()), ("new", 3), "soft: {soft}");
    }
}

#[tokio::test]
async fn every_way_to_name_what_is_stored_purges_it_and_nothing_else() {
    use InvalidationTarget::*;
    let s = str::to_owned;
    for (target, other) in [
        (Url(s("http://a.example/x/7")), Url(s("http://a.example/x/8"))),
        (Prefix(s("a.example/x")), Prefix(s("a.example/y"))),
        (Tag(s("last:7")), Tag(s("last:8"))),
        (Tag(s("b")), Tag(s("c"))),
        (Route(s("test")), Route(s("tes"))),
        (Class(s("project")), Class(s("test"))),
        (Namespace(s("default")), Namespace(s("project"))),
        (Pattern(s("a.example/*/7")), Pattern(s("a.example/7"))),
        (Regex(s("^a.example/x/[0-9]$")), Regex(s("^x/"))),
        (All, Prefix(s("/y"))),
    ] {
        let cache = tagged(counting());
        let ask = || get("http://a.example/x/7");
        assert_eq!(send(&cache, ask()).await.text(), "first");
        purge(&cache, other.clone()).await;
        assert_eq!(send(&cache, ask()).await.text(), "first", "{other:?}");
        purge(&cache, target.clone()).await;
        assert_eq!(send(&cache, ask()).await.text(), "second", "{target:?}");
        assert_eq!(send(&cache, ask()).await.text(), "second", "{target:?}");
    }
}

#[tokio::test]
async fn fields_that_name_tags_do_not_reach_the_client() {
    let cache = tagged(counting());
    for _ in 0..2 {
        assert_eq!(header(&send(&cache, get("http://a.example/x/7")).await.response, "x-keys"), "");
    }
    let passed = send(&cache, request("POST", "http://a.example/x/7", &[])).await;
    assert_eq!(header(&passed.response, "x-keys"), "");
}

#[tokio::test]
async fn a_soft_purge_serves_what_is_stored_while_one_refresh_runs() {
    let cache = tagged(counting());
    let ask = || get("http://a.example/x/7");
    send(&cache, ask()).await;
    cache.cache().invalidate(&Invalidation::soft([InvalidationTarget::All])).await;
    let stale = send(&cache, ask()).await;
    assert_eq!((stale.text(), stale.outcome.reason, stale.outcome.stale), ("first", Reason::SoftPurged, true));
    while cache.cache().stats().fills_in_flight > 0 || send(&cache, ask()).await.text() == "first" {
        tokio::task::yield_now().await;
    }
    let fresh = send(&cache, ask()).await;
    assert_eq!((fresh.text(), fresh.outcome.reason), ("second", Reason::Fresh));
}

#[tokio::test]
async fn without_room_for_a_refresh_what_is_stale_is_served_all_the_same() {
    let origin = counting();
    let cache = tagged(origin.clone());
    cache.cache().limit_refreshes(0);
    send(&cache, get("http://a.example/x/7")).await;
    cache.cache().invalidate(&Invalidation::soft([InvalidationTarget::All])).await;
    for _ in 0..5 {
        assert_eq!(send(&cache, get("http://a.example/x/7")).await.text(), "first");
        tokio::task::yield_now().await;
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn a_fill_that_began_before_a_purge_is_neither_joined_nor_kept() {
    for target in [InvalidationTarget::Tag("last:7".to_owned()), InvalidationTarget::Prefix("/x".to_owned()), InvalidationTarget::All] {
        let gate = Arc::new(Semaphore::new(0));
        let (opened, requests) = (Arc::clone(&gate), AtomicUsize::new(0));
        let origin = Origin::waiting(move |_| {
            // The origin's knowledge when it is requests, not when its answer goes out.
            let body = ["old", "new"][requests.fetch_add(1, Ordering::Relaxed).min(1)];
            let gate = Arc::clone(&opened);
            async move {
                gate.acquire().await.expect("open").forget();
                Ok(response(200, body).header("cache-control", "max-age=60").build())
            }
        });
        let cache = tagged(origin.clone());
        let early = asking(&cache, &origin, 1).await;
        purge(&cache, target).await;
        let late = asking(&cache, &origin, 2).await;
        gate.add_permits(2);
        finish(early).await;
        assert_eq!(finish(late).await.remove(0).expect("an answer").text(), "new");
        assert_eq!(send(&cache, get("http://a.example/x/7")).await.text(), "new");
    }
}

/// A request under way, once the origin has been asked `count` times.
async fn asking(cache: &CacheService<Origin>, origin: &Origin, count: usize) -> Vec<ServeFuture<OriginBody>> {
    let waiting = start(cache, [get("http://a.example/x/7")]);
    while origin.count() < count {
        tokio::task::yield_now().await;
    }
    waiting
}

/// The tags that an origin will name are not known when its flight is joined, but they are when it lands.
#[tokio::test]
async fn a_flight_that_lands_with_a_tag_purged_before_it_was_joined_is_left() {
    let gate = Arc::new(Semaphore::new(0));
    let (opened, requests) = (Arc::clone(&gate), AtomicUsize::new(0));
    let origin = Origin::waiting(move |_| {
        let body = ["old", "new"][requests.fetch_add(1, Ordering::Relaxed).min(1)];
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.expect("open").forget();
            Ok(response(200, body).header("cache-control", "max-age=60").header("x-keys", "a b").build())
        }
    });
    let cache = tagged(origin.clone());
    let early = asking(&cache, &origin, 1).await;
    purge(&cache, InvalidationTarget::Tag("b".to_owned())).await;
    let late = start(&cache, [get("http://a.example/x/7"), get("http://a.example/x/7")]);
    gate.add_permits(2);
    finish(early).await;
    for answer in finish(late).await {
        assert_eq!(answer.expect("an answer").text(), "new");
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_body_on_its_way_is_not_joined_after_a_purge_of_a_tag_its_origin_named() {
    let (sender, body) = channel();
    let bodies = std::sync::Mutex::new(vec![body]);
    let origin = Origin::new(move |_| {
        let streamed = bodies.lock().expect("whole").pop();
        let reply = streamed.map_or_else(|| response(200, "new"), |body| streaming(200, body));
        reply.header("cache-control", "max-age=60").header("x-keys", "a b")
    });
    let cache = tagged(origin.clone());
    let mut early = asking(&cache, &origin, 1).await;
    let early = early.remove(0).await.expect("a head");
    purge(&cache, InvalidationTarget::Tag("b".to_owned())).await;
    assert_eq!(send(&cache, get("http://a.example/x/7")).await.text(), "new");
    drop(sender);
    read(early.response, early.outcome).await;
    assert_eq!(send(&cache, get("http://a.example/x/7")).await.text(), "new");
}

#[tokio::test]
async fn who_watches_purges_is_told_of_those_that_people_ask_for_and_of_no_write() {
    let cache = common::service(Origin::new(|_| response(200, "x").header("cache-control", "max-age=60")));
    let mut purges = cache.cache().watch_purges();
    send(&cache, get("/a")).await;
    send(&cache, request("PUT", "/a", &[])).await;
    assert!(!purges.has_changed().expect("the cache is there"), "a write is none");
    cache.cache().invalidate(&Invalidation::path("/a")).await;
    assert!(purges.has_changed().expect("the cache is there"));
    purges.mark_unchanged();
    cache.cache().invalidate_received(&Invalidation::path("/a"), vec![1]).await;
    assert!(purges.has_changed().expect("the cache is there"));
}

#[tokio::test]
async fn what_is_set_aside_is_taken_from_what_entries_may_take() {
    const CAPACITY: u64 = 4 << 20;
    let (clock, hand) = Clock::manual(common::START);
    let body: &'static str = Box::leak("x".repeat(1024).into_boxed_str());
    let origin = Origin::new(move |_| response(200, body).header("cache-control", "max-age=600"));
    let cache = CacheService::new(origin, Cache::builder(CAPACITY).max_object(4096).clock(clock).build(), common::rules());
    for n in 0..4_000 {
        send(&cache, get(&format!("/{n}"))).await;
    }
    let before = cache.cache().stats().memory.bytes;
    assert!(before > CAPACITY * 3 / 4, "{before}");
    cache.cache().set_aside(CAPACITY / 2);
    hand.advance(1);
    send(&cache, get("/more")).await;
    let after = cache.cache().stats().memory.bytes;
    assert!(after <= CAPACITY / 2, "{after}");
}

#[tokio::test]
async fn a_purged_response_is_not_validated_however_often_its_request_has_waited_in_vain() {
    let gates: Arc<[Semaphore; 5]> = Arc::new(std::array::from_fn(|_| Semaphore::new(0)));
    let (count, held) = (AtomicUsize::new(0), Arc::clone(&gates));
    let origin = Origin::waiting(move |request| {
        let (number, gates) = (count.fetch_add(1, Ordering::SeqCst), Arc::clone(&held));
        async move {
            gates[number].acquire().await.expect("open").forget();
            let is_confirmed = number == 4 && request.headers().contains_key("if-none-match");
            let reply = if is_confirmed { response(304, "") } else { response(200, ["0", "1", "2", "3", "4"][number]) };
            Ok(reply.header("etag", "\"1\"").header("cache-control", "max-age=10").build())
        }
    });
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    let tasks = tokio::task::LocalSet::new();
    let ask = || {
        let cache = cache.clone();
        tasks.spawn_local(async move { send(&cache, get("/a")).await })
    };
    // As far as everything gets by itself.
    let settle = async || {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    gates[0].add_permits(1);
    tasks.run_until(ask()).await.expect("an answer");
    hand.advance(20);
    let mut others = vec![ask()];
    tasks.run_until(settle()).await;
    let unlucky = ask();
    tasks.run_until(settle()).await;
    for number in 1..=3 {
        let purged = InvalidationTarget::Url("http://example.com/a".to_owned());
        cache.cache().invalidate(&Invalidation::hard([purged])).await;
        if number < 3 {
            // Begun after the purge, it is the next one to be waited for.
            others.push(ask());
            tasks.run_until(settle()).await;
        }
        assert_eq!(origin.count(), 1 + 3.min(number + 1));
        gates[number].add_permits(1);
        tasks.run_until(settle()).await;
    }
    assert_eq!(origin.count(), 5, "the one that waited asks by itself");
    assert!(!origin.fields(4).contains_key("if-none-match"), "{:?}", origin.fields(4));
    gates[4].add_permits(1);
    assert_eq!(tasks.run_until(unlucky).await.expect("an answer").text(), "4");
}

#[tokio::test]
async fn a_response_that_is_purged_between_its_look_up_and_its_fetch_is_not_validated() {
    let count = AtomicUsize::new(0);
    let origin = Origin::new(move |request| {
        let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
        let is_confirmed = request.headers().contains_key("if-none-match");
        let reply = if is_confirmed { response(304, "") } else { response(200, if is_first { "old" } else { "new" }) };
        reply.header("etag", "\"1\"").header("cache-control", "max-age=60")
    });
    let cache = with_rules(origin.clone(), common::rules()).0;
    send(&cache, get("/a")).await;
    // It asks alone, and is looked up before it waits for its turn.
    let asking = request("GET", "/a", &[("cache-control", "no-cache")]);
    let waiting = cache.serve(asking, larder_tower::EffectiveTarget::default(), |_| ());
    purge(&cache, InvalidationTarget::Url("http://example.com/a".to_owned())).await;
    let served = waiting.await.expect("an answer");
    assert_eq!(read(served.response, served.outcome).await.text(), "new");
    assert!(!origin.fields(1).contains_key("if-none-match"), "{:?}", origin.fields(1));
    assert_eq!(send(&cache, get("/a")).await.text(), "new");
}
