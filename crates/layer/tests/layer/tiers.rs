//! Several tiers behind the memory: who is asked when, what is written where, and what one that fails does to the others.

use crate::common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{Origin, finish, get, header, response, rules, send, start, streaming};
use http_body_util::{BodyExt, Full};
use larder_semantics::{StoredHead, Timestamp};
use larder_store::{BodyCodec, BodyPacking, Invalidation, InvalidationTarget, LeaseEnd, SEGMENT};
use larder_tower::clock::{Clock, ClockHand};
use larder_tower::{Cache, CacheService, RouteRules, Tiers};
use tokio::sync::Semaphore;

use crate::tier_fake::{Calls, FakeTier, Health};

/// A near tier and a far one, and whatever cache is before them at the time.
struct Chain {
    near: Arc<FakeTier>,
    far: Arc<FakeTier>,
    calls: Calls,
}

impl Chain {
    fn new(change: impl FnOnce(&mut FakeTier, &mut FakeTier)) -> Self {
        let calls = Calls::default();
        let (mut near, mut far) = (FakeTier::new("near", &calls), FakeTier::shared("far", &calls));
        change(&mut near, &mut far);
        Self { near: Arc::new(near), far: Arc::new(far), calls }
    }

    fn plain() -> Self {
        Self::new(|_, _| ())
    }

    /// A cache with an empty memory before them.
    fn cache(&self, origin: &Origin) -> CacheService<Origin> {
        self.cache_at(origin, common::START).0
    }

    fn cache_at(&self, origin: &Origin, now: Timestamp) -> (CacheService<Origin>, ClockHand) {
        self.cache_with(origin, now, rules())
    }

    fn cache_with(&self, origin: &Origin, now: Timestamp, rules: RouteRules) -> (CacheService<Origin>, ClockHand) {
        let tiers = Tiers::new().then(Arc::clone(&self.near) as _).then(Arc::clone(&self.far) as _);
        let (clock, hand) = Clock::manual(now);
        let cache = Cache::builder(64 << 20).max_object(1 << 20).clock(clock).tiers(tiers).build();
        (CacheService::new(origin.clone(), cache, Arc::new(rules)), hand)
    }

    /// With what the origin says now in the far tier only.
    async fn in_far(origin: &Origin) -> Self {
        let chain = Self::plain();
        chain.fill_far(origin).await;
        chain
    }

    async fn fill_far(&self, origin: &Origin) {
        let near = Arc::new(FakeTier::new("empty", &self.calls));
        let others = Chain { near, far: Arc::clone(&self.far), calls: Arc::clone(&self.calls) };
        let cache = others.cache(origin);
        send(&cache, get("/a")).await.body.expect("whole");
        settled(&cache).await;
        self.take_calls();
    }

    fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

fn fresh() -> Origin {
    numbered("max-age=60")
}

/// Every answer is another one.
fn numbered(control: &'static str) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::new(move |_| {
        let body = ["one", "two", "three"][count.fetch_add(1, Ordering::SeqCst)];
        response(200, body).header("cache-control", control).header("etag", "\"1\"")
    })
}

/// Until the exchanges under way are over.
async fn settled(cache: &CacheService<Origin>) {
    while cache.cache().stats().fills_in_flight > 0 {
        tokio::task::yield_now().await;
    }
}

async fn purge(cache: &CacheService<Origin>) {
    let target = InvalidationTarget::Url("http://example.com/a".to_owned());
    cache.cache().invalidate(&Invalidation::hard([target])).await;
}

#[tokio::test]
async fn tiers_are_asked_from_the_nearest_to_the_farthest_and_the_origin_last() {
    let (chain, origin) = (Chain::plain(), fresh());
    let cache = chain.cache(&origin);
    let first = send(&cache, get("/a")).await;
    assert_eq!((first.text(), first.x_cache().as_str()), ("one", "MISS"));
    assert_eq!(chain.take_calls(), ["near load", "far load", "near commit", "far commit"]);
    let second = send(&cache, get("/a")).await;
    assert_eq!((second.text(), second.x_cache().as_str(), origin.count()), ("one", "HIT", 1));
    assert!(chain.take_calls().is_empty(), "a hit in memory asks no tier");
}

#[tokio::test]
async fn a_route_asks_and_writes_the_tiers_that_it_names_and_no_others() {
    for (names, calls) in [(&["near"][..], &["near load", "near commit"][..]), (&["far"], &["far load", "far commit"]), (&[], &[])] {
        let (chain, origin) = (Chain::plain(), fresh());
        let named = common::builder().tiers(names.iter().copied()).build();
        let cache = chain.cache_with(&origin, common::START, named).0;
        assert_eq!(send(&cache, get("/a")).await.x_cache(), "MISS");
        settled(&cache).await;
        assert_eq!(chain.take_calls(), calls, "{names:?}");
    }
    let origin = fresh();
    let chain = Chain::in_far(&origin).await;
    let cache = chain.cache_with(&origin, common::START, common::builder().tiers(["far"]).build()).0;
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT");
    settled(&cache).await;
    assert_eq!(chain.take_calls(), ["far load"], "nothing is promoted to a tier that is not named");
}

#[tokio::test]
async fn a_response_in_a_farther_tier_is_promoted_to_the_nearer_one() {
    let origin = fresh();
    let chain = Chain::in_far(&origin).await;
    let cache = chain.cache(&origin);
    let hit = send(&cache, get("/a")).await;
    assert_eq!((hit.text(), hit.x_cache().as_str(), origin.count()), ("one", "HIT", 1));
    assert!(header(&hit.response, "cache-status").contains("; hit; ttl=60"), "{:?}", hit.response.headers());
    settled(&cache).await;
    assert_eq!(chain.take_calls(), ["near load", "far load", "near promote"]);
    let (second, elsewhere) = (send(&cache, get("/a")).await, chain.cache(&origin));
    let nearer = send(&elsewhere, get("/a")).await;
    assert_eq!((second.text(), nearer.text(), origin.count()), ("one", "one", 1));
    settled(&elsewhere).await;
    assert_eq!(chain.take_calls(), ["near load"], "the far tier is not asked for what the near one has");
    let stats = cache.cache().tier_stats();
    let counted: Vec<_> = stats.iter().map(|tier| (tier.name, tier.hits, tier.misses, tier.failures, tier.promotions)).collect();
    assert_eq!(counted, [("near", 0, 1, 0, 1), ("far", 1, 0, 0, 0)]);
}

#[tokio::test]
async fn a_long_body_in_a_farther_tier_is_promoted_once_it_is_there() {
    let origin = Origin::new(|_| {
        let body = Full::new(vec![7; 2 * SEGMENT + 5].into()).map_err(Into::into).boxed_unsync();
        streaming(200, body).header("cache-control", "max-age=60")
    });
    let chain = Chain::in_far(&origin).await;
    let cache = chain.cache(&origin);
    let hit = send(&cache, get("/a")).await;
    assert_eq!((hit.body.expect("whole").len(), origin.count()), (2 * SEGMENT + 5, 1));
    settled(&cache).await;
    assert_eq!(chain.take_calls(), ["near load", "far load", "near promote"]);
    assert_eq!(chain.near.fetches(), chain.far.fetches());
}

#[tokio::test]
async fn a_tier_need_not_admit_what_a_farther_one_has() {
    let origin = fresh();
    let chain = Chain::new(|near, _| near.admits = false);
    chain.fill_far(&origin).await;
    for _ in 0..2 {
        let cache = chain.cache(&origin);
        assert_eq!(send(&cache, get("/a")).await.text(), "one");
        settled(&cache).await;
        assert_eq!(chain.take_calls(), ["near load", "far load", "near promote"]);
    }
}

#[tokio::test]
async fn a_tier_that_fails_hides_no_other() {
    let origin = fresh();
    let chain = Chain::in_far(&origin).await;
    chain.near.set(Health::Fails);
    let cache = chain.cache(&origin);
    assert_eq!((send(&cache, get("/a")).await.text(), origin.count()), ("one", 1));
    assert_eq!(cache.cache().tier_stats()[0].failures, 1);
    chain.near.set(Health::Works);
    chain.far.set(Health::Fails);
    let cache = chain.cache(&origin);
    assert_eq!((send(&cache, get("/b")).await.text(), origin.count()), ("two", 2));
    let cache = chain.cache(&origin);
    assert_eq!((send(&cache, get("/b")).await.text(), origin.count()), ("two", 2), "it is in the near tier");
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "the runtime's clock, which stands still but for sleeps")]
async fn a_tier_that_hangs_costs_its_own_deadline_and_no_more() {
    let (deadline, origin) = (Duration::from_millis(20), fresh());
    let chain = Chain::new(|near, _| near.deadline = Some(deadline));
    chain.near.set(Health::Hangs);
    let cache = chain.cache(&origin);
    let started = tokio::time::Instant::now();
    assert_eq!(send(&cache, get("/a")).await.text(), "one");
    assert_eq!(started.elapsed(), 2 * deadline, "once for the look-up and once for the write");
    let cache = chain.cache(&origin);
    assert_eq!((send(&cache, get("/a")).await.text(), origin.count()), ("one", 1), "the far tier has it");
    assert_eq!(started.elapsed(), 3 * deadline, "no client waits for a promotion");
}

#[tokio::test]
async fn a_purge_reaches_all_tiers() {
    // Of the far tier nothing is wanted that is as old as what the near one had. Asked alone, it is asked once more: another replica might
    // have stored a later response.
    for (health, loads) in [(Health::Works, &["near load", "far load"][..]), (Health::Fails, &["near load", "far load", "far load"])] {
        let (chain, origin) = (Chain::plain(), fresh());
        let cache = chain.cache(&origin);
        send(&cache, get("/a")).await;
        assert_eq!((chain.near.fetches(), chain.near.fetches().len()), (chain.far.fetches(), 1));
        purge(&cache).await;
        chain.take_calls();
        chain.near.set(health);
        assert_eq!((send(&cache, get("/a")).await.text(), origin.count()), ("two", 2));
        assert_eq!(chain.take_calls(), [loads, &["near commit", "far commit"]].concat());
    }
}

#[tokio::test]
async fn a_fill_that_a_purge_overtakes_is_used_from_no_tier() {
    let gate = Arc::new(Semaphore::new(0));
    let (count, open) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&gate));
    let origin = Origin::waiting(move |_| {
        let (gate, body) = (Arc::clone(&open), ["old", "new"][count.fetch_add(1, Ordering::SeqCst)]);
        async move {
            gate.acquire().await.expect("open").forget();
            Ok(response(200, body).header("cache-control", "max-age=60").build())
        }
    });
    let chain = Chain::plain();
    let cache = chain.cache(&origin);
    let waiting = start(&cache, [get("/a")]);
    purge(&cache).await;
    gate.add_permits(2);
    assert_eq!(finish(waiting).await.remove(0).expect("an answer").text(), "old", "it was asked for before");
    assert!(chain.near.fetches().is_empty() && chain.far.fetches().is_empty(), "{:?}", chain.take_calls());
    assert_eq!((send(&cache, get("/a")).await.text(), origin.count()), ("new", 2));
}

#[tokio::test]
async fn a_promotion_that_a_purge_overtakes_brings_nothing_back() {
    let origin = fresh();
    let chain = Chain::new(|near, _| near.promotions = Some(Semaphore::new(0)));
    chain.fill_far(&origin).await;
    let cache = chain.cache(&origin);
    assert_eq!((send(&cache, get("/a")).await.text(), origin.count()), ("one", 1));
    purge(&cache).await;
    chain.near.promotions.as_ref().expect("held back").add_permits(1);
    settled(&cache).await;
    assert_eq!(chain.near.fetches().len(), 1, "it lands after the purge");
    assert_eq!((send(&cache, get("/a")).await.text(), origin.count()), ("two", 2));
}

#[tokio::test]
async fn a_lease_ends_in_the_tier_that_granted_it() {
    let (chain, origin) = (Chain::plain(), fresh());
    send(&chain.cache(&origin), get("/a")).await;
    assert_eq!((chain.near.ended(), chain.far.ended()), (vec![], vec![None]));
    // The nearer one grants it, before the farther one says that it has the response.
    let chain = Chain::new(|near, _| near.is_shared = true);
    chain.fill_far(&origin).await;
    let cache = chain.cache(&origin);
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT");
    settled(&cache).await;
    assert_eq!(
        (chain.near.ended(), chain.far.ended()),
        (vec![None], vec![None]),
        "with what was promoted; the far one is of the first fetch"
    );
}

#[tokio::test]
async fn a_fetch_that_fails_gives_back_the_lease_where_it_was_granted() {
    let origin = Origin::waiting(|_| async { Err(std::io::Error::other("down")) });
    let chain = Chain::new(|near, _| near.is_shared = true);
    assert!(common::try_send(&chain.cache(&origin), get("/a")).await.is_err());
    assert_eq!((chain.near.ended(), chain.far.ended()), (vec![Some(LeaseEnd::Failed(None))], vec![]), "one lease is enough");
}

#[tokio::test]
async fn a_stale_response_in_the_nearer_tier_hides_no_fresh_one_in_the_farther() {
    let origin = fresh();
    let chain = Chain::plain();
    send(&chain.cache(&origin), get("/a")).await;
    let later = Timestamp::from_secs(u64::from(common::START.as_secs()) + 61);
    let elsewhere = Chain { near: Arc::new(FakeTier::new("other", &chain.calls)), far: Arc::clone(&chain.far), calls: Calls::default() };
    assert_eq!(send(&elsewhere.cache_at(&origin, later).0, get("/a")).await.text(), "two", "another replica fetched it anew");
    let (cache, _) = chain.cache_at(&origin, later);
    assert_eq!((send(&cache, get("/a")).await.text(), origin.count()), ("two", 2));
    settled(&cache).await;
    assert_eq!(chain.near.fetches(), chain.far.fetches());
}

#[tokio::test]
async fn a_304_renews_and_a_removal_removes_in_all_tiers() {
    let count = AtomicUsize::new(0);
    let origin = Origin::new(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => response(200, "one").header("cache-control", "max-age=60").header("etag", "\"1\""),
        1 => response(304, "").header("cache-control", "max-age=60").header("etag", "\"1\""),
        _ => response(200, "two").header("cache-control", "no-store"),
    });
    let chain = Chain::plain();
    let (cache, hand) = chain.cache_at(&origin, common::START);
    send(&cache, get("/a")).await;
    chain.take_calls();
    hand.advance(61);
    assert_eq!(send(&cache, get("/a")).await.text(), "one");
    let renewed = chain.take_calls();
    assert_eq!(renewed[renewed.len() - 2..], ["near freshen", "far freshen"]);
    hand.advance(61);
    assert_eq!(send(&cache, get("/a")).await.text(), "two");
    assert!(chain.take_calls().ends_with(&["near remove".to_owned(), "far remove".to_owned()]));
    assert!(chain.near.fetches().is_empty() && chain.far.fetches().is_empty());
}

#[tokio::test]
async fn a_local_tier_alone_has_no_leases_and_is_asked_once() {
    let (calls, origin) = (Calls::default(), fresh());
    let tier = Arc::new(FakeTier::new("local", &calls));
    let cache = || {
        let tiers = Tiers::new().then(Arc::clone(&tier) as _);
        let cache = Cache::builder(64 << 20).max_object(1 << 20).clock(Clock::manual(common::START).0).tiers(tiers).build();
        CacheService::new(origin.clone(), cache, Arc::new(rules()))
    };
    assert_eq!(send(&cache(), get("/a")).await.text(), "one");
    assert_eq!((send(&cache(), get("/a")).await.text(), origin.count()), ("one", 1));
    let second = cache();
    send(&second, get("/a")).await;
    purge(&second).await;
    assert_eq!((send(&second, get("/a")).await.text(), origin.count()), ("two", 2));
    let calls = calls.lock().unwrap().clone();
    assert_eq!(calls, ["local load", "local commit", "local load", "local load", "local forget", "local load", "local commit"]);
}

/// A body of one byte, again and again, is that byte.
#[derive(Debug)]
struct Runs;

impl BodyCodec for Runs {
    fn suits(&self, _: &StoredHead, _: u64) -> bool {
        true
    }

    fn pack(&self, body: &Bytes) -> Option<Bytes> {
        Some(body.slice(..1))
    }

    fn unpack(&self, packed: &Bytes, length: usize) -> Option<Bytes> {
        Some(vec![packed[0]; length].into())
    }
}

/// A tier that waits for a response in memory to be asked for would wait for one that memory has dropped.
#[tokio::test]
async fn tiers_are_told_that_memory_holds_a_response_in_another_form() {
    const BODY: &str = match std::str::from_utf8(&[b'x'; 9_000]) {
        Ok(body) => body,
        Err(_) => panic!("it is text"),
    };
    let chain = Chain::plain();
    let origin = Origin::new(|_| response(200, BODY).header("cache-control", "max-age=60"));
    let cache = chain.cache(&origin);
    cache.cache().pack_bodies(BodyPacking::new(Runs));
    send(&cache, get("/a")).await.body.expect("whole");
    let mut told = Vec::new();
    while told.len() < 6 {
        tokio::task::yield_now().await;
        told.extend(chain.take_calls());
    }
    assert_eq!(told[4..], ["near repacked", "far repacked"], "{told:?}");
}
