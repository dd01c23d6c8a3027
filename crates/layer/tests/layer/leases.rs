//! Replicas that share a tier: who fetches, who waits, and for whom nobody does.

use crate::common;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Origin, finish, frame, get, response, rules, send, start, streaming, try_send};
use http::{HeaderMap, HeaderValue, StatusCode};
use larder_semantics::{FreshnessLifetime, HeadFlags, LifetimeSource, StoredFields, StoredHead};
use larder_store::{
    AppliedBy, BodyBuilder, FetchFailure, HeldLease, Invalidation, InvalidationLog, InvalidationTarget, Lease, LeaseEnd, LeaseHolder,
    LoadRequest, Loaded, Offered, Position, Published, Remembered, RemoteError, RemoteStore, StoreFuture, StoredResponse, Write,
};
use larder_tower::clock::Clock;
use larder_tower::{Cache, CacheService, EffectiveTarget, RouteRules, Tiers};

/// The fetch of another replica that began before anything was invalidated.
const HOLDER: LeaseHolder = LeaseHolder { token: 77, position: Position(0), silent: false };

type Script = dyn Fn(&Tier, &LoadRequest<'_>) -> Loaded + Send + Sync;

/// A tier that answers by script, and remembers what became of its leases.
struct Tier {
    script: Box<Script>,
    looks: AtomicUsize,
    /// Set by the test when the other replica gives its lease back.
    free: AtomicBool,
    ended: Arc<Mutex<Vec<Option<LeaseEnd>>>>,
}

struct Noted(Arc<Mutex<Vec<Option<LeaseEnd>>>>);

impl HeldLease for Noted {
    fn end(self: Box<Self>, ending: LeaseEnd) {
        self.0.lock().unwrap().push(Some(ending));
    }

    fn arriving(&self, _: Option<Box<dyn Offered>>) {
        self.0.lock().unwrap().push(None);
    }
}

impl Tier {
    fn granted(&self) -> Loaded {
        Loaded::Nothing(Some(Lease::new("here".to_owned(), 1, Noted(Arc::clone(&self.ended)))))
    }

    fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    fn ended(&self) -> Vec<Option<LeaseEnd>> {
        self.ended.lock().unwrap().clone()
    }
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tier").finish_non_exhaustive()
    }
}

impl RemoteStore for Tier {
    fn name(&self) -> &'static str {
        "shared"
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn load<'a>(&'a self, ask: LoadRequest<'a>) -> StoreFuture<'a, Result<Loaded, RemoteError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.looks.fetch_add(1, Ordering::SeqCst);
            Ok((self.script)(self, &ask))
        })
    }

    fn commit(&self, write: Write) -> StoreFuture<'_, ()> {
        write.lease.into_iter().for_each(Lease::spent);
        Box::pin(std::future::ready(()))
    }

    fn freshen(&self, write: Write) -> StoreFuture<'_, ()> {
        self.commit(write)
    }

    fn remove(&self, _: &StoredResponse) {}

    fn takes(&self, length: u64) -> bool {
        length <= 10
    }
}

#[derive(Debug)]
struct NoLog;

impl InvalidationLog for NoLog {
    fn publish(&self, _: Invalidation) -> StoreFuture<'_, Published> {
        Box::pin(std::future::ready(Published::Kept))
    }

    fn applied_by(&self, _: u64) -> StoreFuture<'_, Option<AppliedBy>> {
        Box::pin(std::future::ready(None))
    }
}

fn replica(
    origin: Origin,
    script: impl Fn(&Tier, &LoadRequest<'_>) -> Loaded + Send + Sync + 'static,
) -> (CacheService<Origin>, Arc<Tier>) {
    replica_with(rules(), origin, script)
}

fn replica_with(
    rules: RouteRules,
    origin: Origin,
    script: impl Fn(&Tier, &LoadRequest<'_>) -> Loaded + Send + Sync + 'static,
) -> (CacheService<Origin>, Arc<Tier>) {
    let tier = Arc::new(Tier { script: Box::new(script), looks: AtomicUsize::new(0), free: AtomicBool::new(false), ended: Arc::default() });
    let tiers = Tiers::new().then(Arc::clone(&tier) as _).with_log(Arc::new(NoLog));
    let cache = Cache::builder(64 << 20).max_object(1 << 20).clock(Clock::manual(common::START).0).tiers(tiers).build();
    (CacheService::new(origin, cache, Arc::new(rules)), tier)
}

/// Longer than half of what one request waits for another's fetch.
fn slow() -> Origin {
    Origin::waiting(|_| async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        Ok(response(200, "x").header("cache-control", "max-age=60").build())
    })
}

fn at_once() -> Origin {
    Origin::new(|_| response(200, "x").header("cache-control", "max-age=60"))
}

async fn twenty(cache: &CacheService<Origin>) {
    for answer in finish(start(cache, (0..20).map(|_| get("/a")))).await {
        assert_eq!(answer.expect("an answer").text(), "x");
    }
}

#[tokio::test(start_paused = true)]
async fn followers_wait_with_a_leader_that_waits_for_another_replica() {
    let origin = slow();
    let (cache, tier) = replica(origin.clone(), |tier, _| match tier.free.load(Ordering::SeqCst) {
        true => tier.granted(),
        false => Loaded::Awaited(HOLDER),
    });
    let free = async {
        tokio::time::sleep(Duration::from_secs(8)).await;
        tier.free.store(true, Ordering::SeqCst);
    };
    tokio::join!(twenty(&cache), free);
    assert_eq!(origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_gives_up_waiting_is_followed_here() {
    let origin = slow();
    let (cache, _) = replica(origin.clone(), |_, _| Loaded::Awaited(HOLDER));
    twenty(&cache).await;
    assert_eq!(origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_from_before_a_purge_holds_up_no_later_request() {
    let origin = at_once();
    let (cache, tier) = replica(origin.clone(), |tier, ask| match ask.lease.expect("leads").instead_of {
        Some(token) if token == HOLDER.token => tier.granted(),
        _ => Loaded::Awaited(HOLDER),
    });
    let purged = InvalidationTarget::Url("http://example.com/a".to_owned());
    cache.cache().invalidate(&Invalidation::hard([purged])).await;
    assert_eq!(send(&cache, get("/a")).await.text(), "x");
    assert_eq!(tier.looks(), 2, "it waited for an answer that is old already");
}

#[tokio::test(start_paused = true)]
async fn a_purge_of_something_else_changes_nothing_for_waiting_requests() {
    let (cache, tier) = replica(at_once(), |tier, ask| {
        assert_eq!(ask.lease.expect("leads").instead_of, None);
        if tier.looks() < 4 { Loaded::Awaited(HOLDER) } else { tier.granted() }
    });
    let purged = InvalidationTarget::Url("http://example.com/other".to_owned());
    cache.cache().invalidate(&Invalidation::hard([purged])).await;
    assert_eq!(send(&cache, get("/a")).await.text(), "x");
    assert_eq!(tier.looks(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_gives_up_takes_what_another_replica_has_stored_meanwhile() {
    let origin = Origin::waiting(|_| std::future::pending());
    let (cache, tier) = replica(origin.clone(), |tier, ask| match ask.lease {
        Some(_) => tier.granted(),
        None => Loaded::Response(Arc::new(stored(ask, HeadFlags::default()))),
    });
    let mut waiting = start(&cache, [get("/a"), get("/a")]);
    let follower = waiting.split_off(1);
    tokio::select! {
        _ = finish(waiting) => panic!("the origin hangs"),
        mut answers = finish(follower) => assert_eq!(answers.remove(0).expect("an answer").text(), "x"),
    }
    assert_eq!((origin.count(), tier.looks()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_ahead_is_one_replica_s_and_the_others_take_its_answer() {
    let origin = at_once();
    let aged = |ask: &LoadRequest<'_>, initial_age, fetch| {
        let stored = stored(ask, HeadFlags::default());
        let head = StoredHead { initial_age, ..stored.head.clone() };
        Loaded::Response(Arc::new(stored.freshened(&head, Position(0), fetch)))
    };
    let (cache, tier) = replica_with(common::builder().refresh_ahead(0.8).build(), origin.clone(), move |tier, ask| match ask.newer_than {
        0 => aged(ask, 50, 7),
        7 if tier.looks() < 10 => Loaded::Awaited(HOLDER),
        7 => aged(ask, 0, 8),
        _ => Loaded::Nothing(None),
    });
    let age = async || common::header(&send(&cache, get("/a")).await.response, "age");
    assert_eq!((age().await, age().await), ("50".to_owned(), "50".to_owned()));
    while age().await == "50" {
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert_eq!((age().await, origin.count(), tier.looks()), ("0".to_owned(), 0, 10));
}

/// The other replica's answer after a while, as the waiting request learns of it.
fn fails_elsewhere(failure: FetchFailure) -> impl Fn(&Tier, &LoadRequest<'_>) -> Loaded + Send + Sync + 'static {
    move |tier, ask| match ask.newer_than {
        0 => Loaded::Response(Arc::new(stale(ask))),
        _ if tier.looks() < 100 => Loaded::Awaited(HOLDER),
        _ if ask.awaited == Some(HOLDER.token) => Loaded::Failed(failure.clone()),
        _ => Loaded::Nothing(None),
    }
}

fn stale(ask: &LoadRequest<'_>) -> StoredResponse {
    let stored = stored(ask, HeadFlags::default());
    let head = StoredHead { initial_age: 100, stale_if_error: 600, ..stored.head.clone() };
    stored.freshened(&head, Position(0), 7)
}

#[tokio::test(start_paused = true)]
async fn rfc5861_4_a_stored_response_stands_in_for_a_failure_of_another_replica() {
    let error = FetchFailure::ServerError { status: StatusCode::BAD_GATEWAY, retry_after: None };
    for failure in [FetchFailure::NoAnswer("http_response_timeout".into()), error] {
        let (cache, _) = replica(at_once(), fails_elsewhere(failure));
        for answer in finish(start(&cache, (0..5).map(|_| get("/a")))).await {
            let answer = answer.expect("an answer");
            assert_eq!((answer.text(), answer.outcome.stale), ("x", true));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_replica_for_one_client_sends_each_request_up_by_itself() {
    let origin = at_once();
    let (cache, _) = replica(origin.clone(), |tier, ask| match ask.awaited {
        Some(_) if tier.looks() > 100 => Loaded::Failed(FetchFailure::NotShared(Remembered::Plain)),
        _ => Loaded::Awaited(HOLDER),
    });
    twenty(&cache).await;
    assert_eq!(origin.count(), 20);
}

/// Those who come while it fetches for itself need not find out once more.
#[tokio::test(start_paused = true)]
async fn what_another_replica_remembers_of_a_key_is_remembered_here_for_requests_of_the_same_kind() {
    for (remembered, fetches) in [(Remembered::Plain, 3), (Remembered::OfCredentials, 2), (Remembered::No, 2)] {
        let origin = Origin::waiting(|_| std::future::pending());
        let (cache, _) = replica(origin.clone(), move |tier, ask| match ask.awaited {
            Some(_) if tier.looks() > 100 => Loaded::Failed(FetchFailure::NotShared(remembered)),
            Some(_) => Loaded::Awaited(HOLDER),
            None if tier.looks() > 100 => Loaded::Nothing(None),
            None => Loaded::Awaited(HOLDER),
        });
        let first = finish(start(&cache, [get("/a")]));
        let mut first = std::pin::pin!(first);
        let hangs = tokio::time::timeout(Duration::from_secs(5), first.as_mut()).await;
        assert!(hangs.is_err() && origin.count() == 1);
        let later = tokio::time::timeout(Duration::from_secs(1), finish(start(&cache, [get("/a"), get("/a")]))).await;
        assert!(later.is_err());
        assert_eq!(origin.count(), fetches, "{remembered:?}");
    }
}

fn stored(ask: &LoadRequest<'_>, flags: HeadFlags) -> StoredResponse {
    let fields = [(http::header::ETAG, HeaderValue::from_static("\"1\""))];
    let head = StoredHead {
        status: StatusCode::OK,
        headers: StoredFields::from(&fields.into_iter().collect::<HeaderMap>()),
        response_time: common::START,
        initial_age: 0,
        lifetime: FreshnessLifetime { seconds: 60, source: LifetimeSource::MaxAge },
        stale_while_revalidate: 0,
        stale_if_error: 0,
        flags,
        date_seconds: common::START.as_secs(),
        origin_control: None,
    };
    let mut body = BodyBuilder::new(1);
    body.push(b"x");
    StoredResponse::new(ask.key, None, &head, body.finish(None).unwrap(), &[], Position(0), 7)
}

#[tokio::test(start_paused = true)]
async fn a_response_that_every_request_validates_makes_no_queue() {
    let origin = Origin::new(|request| {
        assert_eq!(request.headers()["if-none-match"], "\"1\"");
        response(304, "").header("etag", "\"1\"").header("cache-control", "no-cache")
    });
    let (cache, tier) = replica(origin.clone(), |_, ask| match ask.newer_than {
        0 => Loaded::Response(Arc::new(stored(ask, HeadFlags::NO_CACHE))),
        _ => Loaded::Awaited(HOLDER),
    });
    assert_eq!(send(&cache, get("/a")).await.text(), "x");
    assert_eq!((origin.count(), tier.looks()), (1, 1));
}

#[tokio::test]
async fn a_failed_fetch_lets_all_waiting_requests_try_at_the_same_time() {
    let (cache, tier) = replica(Origin::waiting(|_| async { Err(io::Error::other("down")) }), |tier, _| tier.granted());
    assert!(try_send(&cache, get("/a")).await.is_err());
    assert_eq!(tier.ended(), [Some(LeaseEnd::Failed(None))]);
}

#[tokio::test]
async fn no_request_waits_for_a_body_that_the_tier_does_not_keep() {
    for (announced, before) in [(Some("12"), vec![Some(LeaseEnd::NotShared(Remembered::No))]), (None, vec![None])] {
        let (mut sender, body) = common::channel();
        let body = Mutex::new(Some(body));
        let origin = Origin::new(move |_| {
            let reply = streaming(200, body.lock().unwrap().take().expect("one request")).header("cache-control", "max-age=60");
            announced.into_iter().fold(reply, |reply, length| reply.header("content-length", length))
        });
        let (cache, tier) = replica(origin, |tier, _| tier.granted());
        let served = cache.serve(get("/a"), EffectiveTarget::default(), |_| ()).await.expect("an answer");
        assert_eq!(tier.ended(), before, "{announced:?}: as soon as the head is there");
        let mut body = served.response.into_body();
        sender.send_data("123456".into()).await.unwrap();
        frame(&mut body).await.unwrap().unwrap();
        sender.send_data("789012".into()).await.unwrap();
        frame(&mut body).await.unwrap().unwrap();
        assert!(tier.ended().contains(&Some(LeaseEnd::NotShared(Remembered::No))), "{announced:?}: {:?}", tier.ended());
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_purged_while_another_replica_is_waited_for_is_not_validated() {
    let origin = Origin::new(|request| {
        let reply = if request.headers().contains_key("if-none-match") { response(304, "") } else { response(200, "new") };
        reply.header("etag", "\"1\"").header("cache-control", "max-age=60")
    });
    let (cache, _) = replica(origin.clone(), |tier, ask| match (ask.newer_than, ask.lease.expect("leads").instead_of) {
        (0, _) => Loaded::Response(Arc::new(stale(ask))),
        // Its fetch began before the purge.
        (_, None) => Loaded::Awaited(HOLDER),
        (_, Some(_)) => tier.granted(),
    });
    let mut asked = Box::pin(send(&cache, get("/a")));
    let waits = tokio::time::timeout(Duration::from_millis(100), asked.as_mut()).await;
    assert!(waits.is_err() && origin.count() == 0, "it waits for the other replica");
    let purged = InvalidationTarget::Url("http://example.com/a".to_owned());
    cache.cache().invalidate(&Invalidation::hard([purged])).await;
    assert_eq!(asked.await.text(), "new");
    assert!(!origin.fields(0).contains_key("if-none-match"), "{:?}", origin.fields(0));
}
