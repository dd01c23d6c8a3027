//! Requests that nothing but the origin's own answers will do: whatever is stored or under way, none of it reaches them, and the cache is filled as ever.

use crate::common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{Origin, builder, finish, get, header, request, response, send, start, streaming, try_send, with_rules};
use http::Request;
use http_body_util::{BodyExt, Full};
use larder_semantics::PathCase;
use larder_store::SEGMENT;
use larder_tower::clock::Clock;
use larder_tower::{Cache, CacheService, DryRun, EffectiveTarget, RouteRulesBuilder, Tiers, Verdict};
use tokio::sync::Semaphore;

use crate::tier_fake::{Calls, FakeTier};

const BODIES: [&str; 3] = ["first", "second", "third"];

/// Every answer has another body, but all of them the same tag: an origin that would confirm what is out of date.
fn numbered(control: &'static str) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::new(move |request| {
        if request.headers().contains_key("if-none-match") {
            return response(304, "").header("cache-control", control).header("etag", "\"same\"");
        }
        let body = BODIES[count.fetch_add(1, Ordering::SeqCst)];
        response(200, body).header("cache-control", control).header("etag", "\"same\"")
    })
}

fn dry_run(cache: &CacheService<Origin>, target: &str) -> DryRun {
    let head = Request::get(target).header("host", "example.com").body(()).expect("a request");
    cache.dry_run(head, &EffectiveTarget::default(), &Bytes::new())
}

/// A request for what was stored so many seconds ago. The origin's own answer is the second one.
async fn gets_the_origins_own(rules: RouteRulesBuilder, control: &'static str, seconds: u64, fields: &[(&str, &str)]) {
    let origin = numbered(control);
    let (cache, hand) = with_rules(origin.clone(), rules.build());
    send(&cache, get("/a")).await;
    hand.advance(seconds);
    let answer = send(&cache.by_origin_only(), request("GET", "/a", fields)).await;
    let whole = if header(&answer.response, "content-range").is_empty() { "second" } else { "eco" };
    assert_eq!((answer.text(), origin.count()), (whole, 2), "{control} {fields:?}");
    assert!(!origin.fields(1).contains_key("if-none-match"), "what is stored is not validated");
    assert!(!answer.outcome.stale && answer.x_cache() == "MISS", "{:?}", answer.outcome);
    assert_eq!(send(&cache, get("/a")).await.text(), "second", "it is stored as ever");
}

#[tokio::test]
async fn nothing_stored_answers_whatever_it_is() {
    gets_the_origins_own(builder(), "max-age=60", 1, &[]).await;
    gets_the_origins_own(builder(), "max-age=60", 61, &[]).await;
    gets_the_origins_own(builder(), "max-age=60, must-revalidate", 61, &[]).await;
    gets_the_origins_own(builder(), "max-age=60, stale-while-revalidate=600", 61, &[]).await;
    gets_the_origins_own(builder(), "max-age=60, stale-if-error=600", 61, &[]).await;
    gets_the_origins_own(builder().refresh_ahead(0.1), "max-age=60", 59, &[]).await;
    gets_the_origins_own(builder(), "max-age=60", 1, &[("range", "bytes=1-3")]).await;
}

#[tokio::test]
async fn a_clients_own_validators_are_compared_with_the_origins_answer() {
    let origin = Origin::new({
        let count = AtomicUsize::new(0);
        move |_| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            response(200, BODIES[number]).header("cache-control", "max-age=60").header("etag", &format!("\"{number}\""))
        }
    });
    let cache = common::service(origin.clone());
    send(&cache, get("/a")).await;
    let alone = cache.by_origin_only();
    let changed = send(&alone, request("GET", "/a", &[("if-none-match", "\"0\"")])).await;
    assert_eq!((changed.response.status().as_u16(), changed.text()), (200, "second"), "the stored one would have been a 304");
    let current = send(&alone, request("GET", "/a", &[("if-none-match", "\"2\"")])).await;
    assert_eq!((current.response.status().as_u16(), origin.count()), (304, 3), "the origin was asked for it");
}

#[tokio::test]
async fn an_error_is_the_origins_own_and_nothing_stale_stands_in() {
    let origin = Origin::waiting({
        let count = AtomicUsize::new(0);
        move |_| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            async move {
                match number {
                    0 => Ok(response(200, "good").header("cache-control", "max-age=60, stale-if-error=600").build()),
                    1 => Ok(response(503, "sorry").build()),
                    _ => Err(io::Error::other("hung up")),
                }
            }
        }
    });
    let (cache, hand) = with_rules(origin, builder().build());
    send(&cache, get("/a")).await;
    hand.advance(61);
    let alone = cache.by_origin_only();
    let failed = send(&alone, get("/a")).await;
    assert_eq!((failed.response.status().as_u16(), failed.text()), (503, "sorry"));
    assert!(try_send(&alone, get("/a")).await.is_err());
    assert_eq!(send(&cache, get("/a")).await.text(), "good", "other requests get it");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_slow_or_full_is_waited_for() {
    let origin = Origin::waiting({
        let count = AtomicUsize::new(0);
        move |_| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(Duration::from_secs(number as u64)).await;
                Ok(response(200, BODIES[number]).header("cache-control", "max-age=1, stale-if-error=600").build())
            }
        }
    });
    let pressure = larder_tower::Pressure::with_places(|| false);
    let rules = builder().stale_if_slow(Duration::from_millis(300)).stale_if_overloaded(true).pressure(pressure);
    let (cache, hand) = with_rules(origin, rules.build());
    send(&cache, get("/a")).await;
    hand.advance(2);
    assert_eq!(send(&cache.by_origin_only(), get("/a")).await.text(), "second");
}

#[tokio::test]
async fn nobody_gets_another_requests_answer() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = Origin::waiting({
        let (gate, count) = (Arc::clone(&gate), AtomicUsize::new(0));
        move |_| {
            let (gate, number) = (Arc::clone(&gate), count.fetch_add(1, Ordering::SeqCst));
            async move {
                gate.acquire().await.expect("open").forget();
                Ok(response(200, BODIES[number]).header("cache-control", "max-age=60").build())
            }
        }
    });
    let cache = common::service(origin.clone());
    assert!(!cache.would_follow(&dry_run(&cache, "/a")));
    let waiting = start(&cache.by_origin_only(), [get("/a"), get("/a"), get("/a")]);
    assert!(cache.would_follow(&dry_run(&cache, "/a")) && !cache.would_follow(&dry_run(&cache, "/b")));
    gate.add_permits(3);
    let mut bodies = Vec::new();
    for answer in finish(waiting).await {
        let answer = answer.expect("an answer");
        assert!(!answer.outcome.collapsed);
        bodies.push(answer.text().to_owned());
    }
    bodies.sort();
    assert_eq!((&bodies[..], origin.count()), (&["first", "second", "third"].map(str::to_owned)[..], 3));
    assert!(matches!(dry_run(&cache, "/a").verdict, Verdict::Hit { .. }), "one of them is stored");
}

#[tokio::test]
async fn what_a_tier_has_answers_nobody_and_is_what_would_have_been_served() {
    for length in [5, SEGMENT + 1] {
        let calls = Calls::default();
        let far = Arc::new(FakeTier::shared("far", &calls));
        let origin = Origin::new(move |_| {
            let body = Full::new(Bytes::from(vec![b'x'; length])).map_err(Into::into).boxed_unsync();
            streaming(200, body).header("cache-control", "max-age=60").header("content-length", &length.to_string())
        });
        let before_it = || {
            let tiers = Tiers::new().then(Arc::clone(&far) as _);
            let (clock, _) = Clock::manual(common::START);
            let cache = Cache::builder(64 << 20).max_object(1 << 20).clock(clock).tiers(tiers).build();
            CacheService::new(origin.clone(), cache, Arc::new(builder().build()))
        };
        let filled = before_it();
        send(&filled, get("/a")).await.body.expect("whole");
        while far.fetches().is_empty() {
            tokio::task::yield_now().await;
        }
        let cache = before_it();
        calls.lock().unwrap().clear();
        assert_eq!(send(&cache.by_origin_only(), get("/a")).await.body.expect("whole").len(), length);
        assert!(origin.count() == 2 && !calls.lock().unwrap().contains(&"far load".to_owned()), "the tier is not asked");
        let cache = before_it();
        let stored = cache.load_from_tiers(&dry_run(&cache, "/a")).await.expect("what the tier has");
        assert_eq!((stored.body().len(), origin.count()), (length as u64, 2));
        assert!(matches!(dry_run(&cache, "/a").verdict, Verdict::Hit { .. }), "memory has it now");
        assert!(cache.load_from_tiers(&dry_run(&cache, "/b")).await.is_none());
    }
}

#[tokio::test]
async fn a_dry_run_asks_for_the_path_that_the_cache_asks_for() {
    let origin = numbered("max-age=60");
    let (cache, _) = with_rules(origin.clone(), builder().key_path(PathCase::Lower).build());
    let run = dry_run(&cache, "/News/Today?Page=1");
    cache.try_out(&run, |_| ()).await.expect("an answer");
    cache.ask_origin(&run, |_| ()).await.expect("an answer");
    send(&cache, get("/News/Today?Page=1")).await;
    assert_eq!([0, 1, 2].map(|number| origin.target(number)), ["/news/today?Page=1"; 3]);
}
