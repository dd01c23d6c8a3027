//! Lifetimes that a route gives and tells, and what it wants to know before it stores anything.

use crate::common;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::{Origin, finish, get, header, request, response, send, start, streaming};
use larder_semantics::{CdnTtl, ClientTtl, EtagSource, Policy, Reason, TtlMode, entity_tag};
use larder_store::{Invalidation, InvalidationTarget};
use larder_tower::clock::{Clock, ClockHand};
use larder_tower::{Cache, CacheService, EffectiveTarget, RouteRules, Tiers};
use tokio::sync::Semaphore;

use crate::tier_fake::{Calls, FakeTier};

fn policy(change: impl FnOnce(&mut Policy)) -> Policy {
    Policy::default().with(|policy| policy.ttl = 60).with(change)
}

fn service(origin: &Origin, policy: Policy) -> (CacheService<Origin>, ClockHand) {
    let (clock, hand) = Clock::manual(common::START);
    let cache = Cache::builder(64 << 20).clock(clock).build();
    (CacheService::new(origin.clone(), cache, RouteRules::builder().policy(policy).build()), hand)
}

fn plain() -> Origin {
    Origin::new(|_| response(200, "body"))
}

fn sliding() -> Policy {
    policy(|policy| (policy.ttl_mode, policy.sliding_max) = (TtlMode::Sliding, 200))
}

#[tokio::test]
async fn each_use_begins_a_sliding_lifetime_anew_up_to_its_limit() {
    let origin = plain();
    let (cache, hand) = service(&origin, sliding());
    send(&cache, get("/a")).await;
    for seconds in [50, 100, 150, 199] {
        hand.advance(if seconds == 199 { 49 } else { 50 });
        let hit = send(&cache, get("/a")).await;
        assert_eq!((&*hit.x_cache(), hit.outcome.reason), ("HIT", Reason::Fresh), "{seconds}");
        assert_eq!(
            header(&hit.response, "cache-control"),
            format!("max-age={}", (seconds + 60).min(200)),
            "as much as is left for clients"
        );
    }
    hand.advance(1);
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "MISS");
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_sliding_lifetime_that_nothing_uses_is_over_as_any_other() {
    let origin = plain();
    let (cache, hand) = service(&origin, sliding());
    send(&cache, get("/a")).await;
    hand.advance(60);
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "MISS");
}

#[tokio::test]
async fn a_use_brings_nothing_back_that_was_purged_and_extends_nothing_that_was_softened() {
    let origin = plain();
    let (cache, hand) = service(&origin, sliding());
    send(&cache, get("/a")).await;
    hand.advance(50);
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT");
    cache.cache().invalidate(&Invalidation::hard([InvalidationTarget::All])).await;
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "MISS");
    hand.advance(50);
    cache.cache().invalidate(&Invalidation::path("/a").into_soft()).await;
    let soft = send(&cache, get("/a")).await;
    assert_eq!(soft.outcome.reason, Reason::SoftPurged);
    assert_eq!(header(&soft.response, "cache-control"), "max-age=60");
}

#[tokio::test]
async fn a_dry_run_is_no_use() {
    let origin = plain();
    let (cache, hand) = service(&origin, sliding());
    send(&cache, get("/a")).await;
    hand.advance(50);
    let request = http::Request::get("/a").header("host", "example.com").body(()).unwrap();
    assert_eq!(cache.dry_run(request, &EffectiveTarget::default(), &Bytes::new()).verdict.reason(), Reason::Fresh);
    hand.advance(10);
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "MISS");
}

/// A restart begins with the lifetime that uses have given.
#[tokio::test]
async fn a_use_reaches_the_tiers_behind() {
    let (origin, calls) = (plain(), Calls::default());
    let tier = Arc::new(FakeTier::new("disk", &calls));
    let begin = |seconds| {
        let (clock, hand) = Clock::manual(common::START);
        hand.advance(seconds);
        let tiers = Tiers::new().then(Arc::clone(&tier) as _);
        let cache = Cache::builder(64 << 20).clock(clock).tiers(tiers).build();
        (CacheService::new(origin.clone(), cache, RouteRules::builder().policy(sliding()).build()), hand)
    };
    let (cache, hand) = begin(0);
    send(&cache, get("/a")).await;
    hand.advance(50);
    send(&cache, get("/a")).await;
    while !calls.lock().unwrap().iter().any(|call| call == "disk freshen") {
        tokio::task::yield_now().await;
    }
    let (restarted, _) = begin(100);
    assert_eq!(send(&restarted, get("/a")).await.x_cache(), "HIT");
    assert_eq!(origin.count(), 1);
}

/// An origin that takes so many seconds of a manual clock, for each answer in turn.
fn taking(hand: &Arc<Mutex<Option<ClockHand>>>, seconds: &'static [u64]) -> Origin {
    let (hand, n) = (Arc::clone(hand), std::sync::atomic::AtomicUsize::new(0));
    Origin::new(move |_| {
        let n = n.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        hand.lock().unwrap().as_ref().expect("a hand").advance(seconds[n]);
        response(200, "body").header("cache-control", "max-age=1000")
    })
}

#[tokio::test]
async fn what_the_origin_answers_soon_is_not_stored_until_it_takes_longer() {
    let hand = Arc::default();
    let origin = taking(&hand, &[1, 1, 2, 0]);
    let (cache, moves) = service(&origin, policy(|policy| policy.min_origin_time = 2_000));
    *hand.lock().unwrap() = Some(moves);
    for _ in 0..2 {
        let soon = send(&cache, get("/a")).await;
        assert_eq!((soon.outcome.reason, soon.outcome.stored), (Reason::QuickOrigin, false));
    }
    assert!(send(&cache, get("/a")).await.outcome.stored);
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT");
    // What is stored has been worth it, so it is renewed in any case.
    let renewed = send(&cache, request("GET", "/a", &[("cache-control", "no-cache")])).await;
    assert!(renewed.outcome.stored);
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT");
}

#[tokio::test]
async fn what_is_asked_for_by_many_at_once_is_stored_by_the_first_fetch() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = Origin::waiting({
        let gate = Arc::clone(&gate);
        move |_| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.expect("open").forget();
                Ok(response(200, "body").build())
            }
        }
    });
    let (cache, _) = service(&origin, policy(|policy| policy.min_hits = 3));
    let waiting = start(&cache, [get("/a"), get("/a"), get("/a")]);
    gate.add_permits(3);
    for answer in finish(waiting).await {
        assert_eq!(answer.expect("an answer").text(), "body");
    }
    assert_eq!(origin.count(), 1);
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT");
}

#[tokio::test]
async fn what_is_asked_for_less_often_than_within_ten_minutes_is_counted_anew() {
    let origin = plain();
    let (cache, hand) = service(&origin, policy(|policy| policy.min_hits = 2));
    let first = send(&cache, get("/a")).await;
    assert!(header(&first.response, "cache-status").contains("detail=few-requests"), "{:?}", first.response);
    hand.advance(11 * 60);
    assert!(!send(&cache, get("/a")).await.outcome.stored);
    assert!(send(&cache, get("/a")).await.outcome.stored);
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT");
    assert!(!send(&cache, get("/b")).await.outcome.stored, "each key has its own count");
}

#[tokio::test]
async fn a_dry_run_counts_as_the_request_that_it_stands_for_and_no_more() {
    let (cache, _) = service(&plain(), policy(|policy| policy.min_hits = 2));
    let try_out = async || {
        let request = http::Request::get("/a").header("host", "example.com").body(()).unwrap();
        let run = cache.dry_run(request, &EffectiveTarget::default(), &Bytes::new());
        cache.try_out(&run, |_| ()).await.expect("an answer").verdict.err()
    };
    for _ in 0..2 {
        assert_eq!(try_out().await, Some(Reason::FewRequests));
    }
    send(&cache, get("/a")).await;
    assert_eq!(try_out().await, None, "the next one is stored");
    assert!(send(&cache, get("/a")).await.outcome.stored);
}

fn tagging() -> Policy {
    policy(|policy| policy.etag = EtagSource::Body)
}

#[tokio::test]
async fn rfc9110_8_8_3_a_body_that_arrives_has_its_tag_once_it_is_whole() {
    let (mut sender, body) = common::channel();
    let body = Mutex::new(Some(body));
    let origin = Origin::new(move |_| streaming(200, body.lock().unwrap().take().expect("asked once")));
    let (cache, _) = service(&origin, tagging());
    let waiting = start(&cache, [get("/a"), get("/a")]);
    sender.send_data("hel".into()).await.unwrap();
    sender.send_data("lo".into()).await.unwrap();
    drop(sender);
    for answer in finish(waiting).await {
        let answer = answer.expect("an answer");
        assert_eq!((answer.text(), answer.response.headers().get("etag")), ("hello", None));
    }
    let tag = entity_tag::of_body([&b"hello"[..]].into_iter());
    let known = send(&cache, request("GET", "/a", &[("if-none-match", tag.to_str().unwrap())])).await;
    assert_eq!((known.response.status().as_u16(), &*known.x_cache()), (304, "HIT"));
}

#[tokio::test]
async fn a_body_that_is_there_with_its_head_has_its_tag_for_the_first_client_too() {
    let (cache, _) = service(&plain(), tagging());
    let tag = entity_tag::of_body([&b"body"[..]].into_iter());
    for x_cache in ["MISS", "HIT"] {
        let answer = send(&cache, get("/a")).await;
        assert_eq!((&*answer.x_cache(), answer.response.headers().get("etag")), (x_cache, Some(&tag)));
    }
}

#[tokio::test]
async fn only_whole_representations_without_a_tag_get_one() {
    let origin = Origin::new(|request| match request.uri().path() {
        "/own" => response(200, "body").header("etag", "W/\"1\""),
        _ => response(404, "none"),
    });
    let (cache, _) = service(&origin, tagging());
    assert_eq!(header(&send(&cache, get("/own")).await.response, "etag"), "W/\"1\"");
    for _ in 0..2 {
        assert_eq!(send(&cache, get("/none")).await.response.headers().get("etag"), None);
    }
}

#[tokio::test]
async fn rfc9111_4_3_1_the_origin_is_not_asked_about_a_tag_that_it_never_sent() {
    let origin = plain();
    let (cache, hand) = service(&origin, tagging());
    send(&cache, get("/a")).await;
    hand.advance(60);
    let tag = entity_tag::of_body([&b"body"[..]].into_iter());
    let known = send(&cache, request("GET", "/a", &[("if-none-match", tag.to_str().unwrap())])).await;
    assert_eq!(origin.fields(1).get("if-none-match"), None);
    assert_eq!(known.response.status(), 304, "the answer has the same bytes");
}

/// What clients are told is written into each answer, so that a reload of the configuration holds for what is stored already.
#[tokio::test]
async fn told_lifetimes_count_from_each_answer_on_and_are_not_stored() {
    let origin = Origin::new(|_| response(200, "body").header("cache-control", "max-age=600").header("etag", "\"1\""));
    let told = policy(|policy| {
        policy.client_ttl = ClientTtl::Fixed(30);
        policy.cdn_ttl = Some(CdnTtl { seconds: 90, field: http::HeaderName::from_static("cdn-cache-control") });
    });
    let (cache, hand) = service(&origin, told);
    let shown = |answer: &common::Read| ["cache-control", "cdn-cache-control"].map(|name| header(&answer.response, name));
    assert_eq!(shown(&send(&cache, get("/a")).await), ["max-age=30", "max-age=90"]);
    hand.advance(100);
    for fields in [&[][..], &[("if-none-match", "\"1\"")], &[("range", "bytes=0-1")]] {
        assert_eq!(shown(&send(&cache, request("GET", "/a", fields)).await), ["max-age=130", "max-age=190"], "{fields:?}");
    }
    hand.advance(500);
    let stale = send(&cache, request("GET", "/a", &[("cache-control", "max-stale=60")])).await;
    assert_eq!(shown(&stale), ["no-cache", "no-cache"], "what is stale here is not to be kept elsewhere");
    assert_eq!(send(&cache, get("/a")).await.outcome.upstream_status.map(|status| status.as_u16()), Some(200));
    let unsatisfiable = send(&cache, request("GET", "/a", &[("range", "bytes=9-")])).await;
    assert_eq!((unsatisfiable.response.status().as_u16(), unsatisfiable.response.headers().get("cdn-cache-control")), (416, None));
    let plain = CacheService::new(origin.clone(), Arc::clone(cache.cache()), RouteRules::builder().policy(Policy::default()).build());
    let stored = send(&plain, get("/a")).await;
    assert_eq!((&*stored.x_cache(), &*header(&stored.response, "cache-control")), ("HIT", "max-age=600"));
    assert_eq!(stored.response.headers().get("cdn-cache-control"), None);
}
