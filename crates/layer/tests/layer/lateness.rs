//! The bound on what replicas cost each other: nobody is later than without a shared tier by more than the tier's `timeout`, and the origin
//! gets no more requests.

use crate::arriving::NoLog;
use crate::common;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Origin, get, response, rules, streaming, try_send};
use http::StatusCode;
use larder_store::{
    FetchFailure, HeldLease, Lease, LeaseEnd, LeaseHolder, LoadRequest, Loaded, Position, RemoteError, RemoteStore, StoreFuture,
    StoredResponse, Write,
};
use larder_tower::clock::Clock;
use larder_tower::{Cache, CacheBuilder, CacheService, FailedElsewhere, Tiers};
use tokio::time::Instant;

/// As `timeout` in `[store.redis]`.
const TIMEOUT: Duration = Duration::from_millis(50);

/// A round trip to the tier.
const TRIP: Duration = Duration::from_millis(1);

/// How long a holder lets others wait for a body after its head.
const BODY_PATIENCE: Duration = Duration::from_millis(15);

const REPLICAS: usize = 3;
const CLIENTS: usize = 20;

#[expect(clippy::disallowed_methods, reason = "the runtime's time, which is paused here")]
fn now() -> Instant {
    Instant::now()
}

/// A tier as replicas share it: entries, leases, failures, and who lives.
#[derive(Debug, Default)]
struct Shared {
    entries: Mutex<HashMap<String, Arc<StoredResponse>>>,
    leases: Mutex<HashMap<String, State>>,
    failures: Mutex<HashMap<u64, FetchFailure>>,
    tokens: AtomicU64,
    /// Since when a replica gives no sign of life.
    silent: Mutex<[Option<Instant>; REPLICAS]>,
    /// Whether a silent replica is dead, and not only slow.
    deadly: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Held { token: u64, position: Position, replica: usize, head: Option<Instant> },
    Unshared,
}

impl Shared {
    fn is_silent(&self, replica: usize) -> bool {
        self.silent.lock().unwrap()[replica].is_some_and(|since| now() >= since + TIMEOUT * 3 / 4)
    }

    fn is_dead(&self, replica: usize) -> bool {
        self.deadly.load(Ordering::SeqCst) && self.silent.lock().unwrap()[replica].is_some()
    }

    fn silence(&self, replica: usize) {
        self.silent.lock().unwrap()[replica] = Some(now());
    }
}

/// The tier as one replica has it.
#[derive(Clone, Debug)]
struct Seat {
    shared: Arc<Shared>,
    replica: usize,
}

struct HeldBy(Seat, String, u64);

impl HeldLease for HeldBy {
    fn end(self: Box<Self>, ending: LeaseEnd) {
        let Self(Seat { shared, replica }, key, token) = *self;
        if shared.is_dead(replica) {
            return;
        }
        let failure = match &ending {
            LeaseEnd::NotShared => Some(FetchFailure::NotShared),
            LeaseEnd::Failed(failure) => failure.clone(),
            LeaseEnd::GivenUp => None,
        };
        failure.into_iter().for_each(|failure| _ = shared.failures.lock().unwrap().insert(token, failure));
        let mut leases = shared.leases.lock().unwrap();
        if matches!(leases.get(&key), Some(State::Held { token: held, .. }) if *held == token) {
            match ending {
                LeaseEnd::GivenUp => leases.remove(&key),
                LeaseEnd::Failed(_) | LeaseEnd::NotShared => leases.insert(key, State::Unshared),
            };
        }
    }

    fn arriving(&self) {
        let Self(seat, key, token) = self;
        if let Some(State::Held { token: held, head, .. }) = seat.shared.leases.lock().unwrap().get_mut(key)
            && held == token
        {
            *head = Some(now());
        }
    }
}

impl RemoteStore for Seat {
    fn name(&self) -> &'static str {
        "shared"
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn load<'a>(&'a self, ask: LoadRequest<'a>) -> StoreFuture<'a, Result<Loaded, RemoteError>> {
        Box::pin(async move {
            tokio::time::sleep(TRIP).await;
            let (shared, key) = (&self.shared, ask.key.text().to_owned());
            if let Some(stored) = shared.entries.lock().unwrap().get(&key).filter(|stored| stored.fetch > ask.newer_than) {
                return Ok(Loaded::Response(Arc::clone(stored)));
            }
            if let Some(failure) = ask.awaited.and_then(|token| shared.failures.lock().unwrap().get(&token).cloned()) {
                return Ok(Loaded::Failed(failure));
            }
            let Some(terms) = ask.lease else { return Ok(Loaded::Nothing(None)) };
            let mut leases = shared.leases.lock().unwrap();
            match leases.get(&key) {
                Some(State::Unshared) => return Ok(Loaded::Nothing(None)),
                Some(State::Held { head: Some(head), .. }) if head.elapsed() > BODY_PATIENCE => return Ok(Loaded::Nothing(None)),
                Some(&State::Held { token, position, replica, .. }) if terms.instead_of != Some(token) => {
                    return Ok(Loaded::Awaited(LeaseHolder { token, position, silent: shared.is_silent(replica) }));
                }
                _ => {}
            }
            let token = shared.tokens.fetch_add(1, Ordering::SeqCst);
            leases.insert(key.clone(), State::Held { token, position: terms.position, replica: self.replica, head: None });
            Ok(Loaded::Nothing(Some(Lease::new(key.clone(), token, HeldBy(self.clone(), key, token)))))
        })
    }

    fn commit(&self, write: Write) -> StoreFuture<'_, ()> {
        if !self.shared.is_dead(self.replica) {
            let key = write.response.key().text().to_owned();
            self.shared.entries.lock().unwrap().insert(key.clone(), write.response);
            self.shared.leases.lock().unwrap().remove(&key);
        }
        write.lease.into_iter().for_each(Lease::spent);
        Box::pin(std::future::ready(()))
    }

    fn freshen(&self, write: Write) -> StoreFuture<'_, ()> {
        self.commit(write)
    }

    fn remove(&self, _: &StoredResponse) {}

    fn silenced(&self, token: u64) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let is_held_by = |state: &State| match state {
                State::Held { token: held, replica, .. } if *held == token => Some(*replica),
                _ => None,
            };
            let holder = || self.shared.leases.lock().unwrap().values().find_map(is_held_by);
            while !holder().is_some_and(|replica| self.shared.is_silent(replica)) {
                tokio::time::sleep(TRIP).await;
            }
        })
    }

    fn shares_failures_after(&self) -> Duration {
        TIMEOUT
    }
}

/// The origin's answer, after a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Answer,
    HangUp,
    /// The head comes, and so many milliseconds later the body ends.
    Stream(u64),
    /// The head comes, and a moment later the body breaks off.
    BreakOff,
    Fail(u16),
    /// An answer for one client only.
    Personal,
}

fn origin(does: Does, after: Duration) -> Origin {
    Origin::waiting(move |_| async move {
        tokio::time::sleep(after).await;
        match does {
            Does::Answer => Ok(response(200, "x").header("cache-control", "max-age=60").build()),
            Does::HangUp => Err(io::Error::other("hung up")),
            Does::Stream(millis) => {
                let (mut sender, body) = common::channel();
                tokio::spawn(async move {
                    sender.send_data("x".into()).await.expect("a reader");
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    sender.send_data("y".into()).await.expect("a reader");
                });
                Ok(streaming(200, body).header("cache-control", "max-age=60").build())
            }
            Does::BreakOff => {
                let (mut sender, body) = common::channel();
                tokio::spawn(async move {
                    sender.send_data("x".into()).await.expect("a reader");
                    tokio::time::sleep(BODY_PATIENCE / 3).await;
                    sender.abort(io::Error::other("hung up").into());
                });
                Ok(streaming(200, body).header("cache-control", "max-age=60").header("content-length", "2").build())
            }
            Does::Fail(status) => Ok(response(status, "sorry").header("retry-after", "7").build()),
            Does::Personal => Ok(response(200, "x").header("cache-control", "private").build()),
        }
    })
}

fn replicas(origin: &Origin, shared: Option<&Arc<Shared>>) -> Vec<CacheService<Origin>> {
    let cache = |replica| {
        let cache = Cache::builder(64 << 20).max_object(1 << 20).clock(Clock::manual(common::START).0);
        let seat = shared.map(|shared| Arc::new(Seat { shared: Arc::clone(shared), replica }));
        let tiers = seat.map(|seat| Tiers::new().then(seat).with_log(Arc::new(NoLog)).failure_words(|_| Some("hung_up")));
        tiers.into_iter().fold(cache, CacheBuilder::tiers).build()
    };
    (0..REPLICAS).map(|replica| CacheService::new(origin.clone(), cache(replica), Arc::new(rules()))).collect()
}

/// The end of one client's wait.
#[derive(Debug)]
struct End {
    replica: usize,
    after: Duration,
    /// The status; `None` for no answer, which the outcome below says more of.
    status: Option<StatusCode>,
    word: Option<String>,
}

/// All clients ask within a few milliseconds, each replica's a little later than those of the one before.
async fn all_ask(replicas: &[CacheService<Origin>]) -> Vec<End> {
    let start = now();
    let clients = replicas.iter().enumerate().flat_map(|(replica, cache)| (0..CLIENTS).map(move |client| (replica, cache, client)));
    let asking = clients.map(async |(replica, cache, client)| {
        tokio::time::sleep_until(start + Duration::from_millis((5 * replica + client / 4) as u64)).await;
        let answer = try_send(cache, get("/a")).await;
        let word = answer.as_ref().err().and_then(|error| error.downcast_ref::<FailedElsewhere>());
        let word = word.map(|error| error.word().to_owned());
        End { replica, after: start.elapsed(), status: answer.ok().map(|answer| answer.response.status()), word }
    });
    let mut ends = futures_util::future::join_all(asking).await;
    ends.sort_by_key(|end| (end.replica, end.after));
    ends
}

async fn compare(does: Does, seconds: f64) -> (Vec<(End, End)>, [usize; 2]) {
    let (alone, together) = (origin(does, Duration::from_secs_f64(seconds)), origin(does, Duration::from_secs_f64(seconds)));
    let without = all_ask(&replicas(&alone, None)).await;
    let with = all_ask(&replicas(&together, Some(&Arc::default()))).await;
    (with.into_iter().zip(without).collect(), [together.count(), alone.count()])
}

#[tokio::test(start_paused = true)]
async fn no_request_is_later_than_without_other_replicas_by_more_than_the_timeout() {
    for does in [Does::Answer, Does::HangUp, Does::Fail(503)] {
        // The last one is slower than requests are willing to wait for each other.
        for seconds in [0.02, 0.3, 2.0, 6.0, 12.0] {
            let (ends, [together, alone]) = compare(does, seconds).await;
            let story = format!("{does:?} after {seconds} s");
            for (with, without) in ends {
                assert!(with.after <= without.after + TIMEOUT, "{story}: {with:?} instead of {without:?}");
                assert_eq!(with.status, without.status, "{story}");
            }
            assert!(together <= alone, "{story}: {together} instead of {alone}");
            if (0.3..10.0).contains(&seconds) {
                assert_eq!(together, 1, "{story}");
            }
        }
    }
}

/// An answer that is of use to one request only is known by its head, so replicas cannot be quicker than one replica with all clients: nobody is
/// later than the last one without other replicas.
#[tokio::test(start_paused = true)]
async fn an_answer_for_one_request_makes_no_other_later_than_a_follower_of_the_same_replica() {
    for does in [Does::Fail(500), Does::Fail(403), Does::Personal] {
        for seconds in [0.02, 0.3, 2.0, 3.0] {
            let (ends, [together, alone]) = compare(does, seconds).await;
            let last = ends.iter().map(|(_, without)| without.after).max().unwrap();
            for (with, without) in &ends {
                assert!(with.after <= last + TIMEOUT, "{does:?} after {seconds} s: {with:?} instead of {without:?}");
                assert_eq!(with.status, without.status, "{does:?} after {seconds} s");
            }
            assert!(together <= alone, "{does:?} after {seconds} s: {together} instead of {alone}");
        }
    }
}

/// Replicas cannot know that a body is slow before its head is there. The others fetch for themselves then, one request each, since a client
/// has its first bytes from a fetch of its own sooner than the last ones from another's.
#[tokio::test(start_paused = true)]
async fn a_slow_body_elsewhere_makes_no_request_later_than_its_own_fetch_from_the_head_on() {
    for seconds in [0.0, 0.02, 0.5, 2.0] {
        let (ends, [together, alone]) = compare(Does::Stream(4_000), seconds).await;
        for (with, without) in ends {
            let bound = without.after + TIMEOUT + Duration::from_secs_f64(seconds);
            assert!(with.after <= bound, "head after {seconds} s: {with:?} instead of {without:?}");
            assert_eq!(with.status, without.status);
        }
        assert!(together <= alone, "head after {seconds} s: {together} instead of {alone}");
    }
}

/// The origin answers so slowly that another's body is there before the own head.
#[tokio::test(start_paused = true)]
async fn a_slow_body_elsewhere_that_is_there_first_is_taken() {
    let (ends, _) = compare(Does::Stream(500), 2.0).await;
    for (with, without) in ends {
        assert!(with.after <= without.after + TIMEOUT, "{with:?} instead of {without:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_there_soon_after_its_head_is_fetched_once_for_all_replicas() {
    for seconds in [0.02, 2.0] {
        let (_, [together, _]) = compare(Does::Stream(10), seconds).await;
        assert_eq!(together, 1, "head after {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_shared_as_a_failure_by_requests_that_have_waited() {
    let (ends, [together, _]) = compare(Does::BreakOff, 2.0).await;
    for (with, without) in ends {
        assert!(with.after <= without.after + TIMEOUT, "{with:?} instead of {without:?}");
        assert_eq!(with.word.as_deref(), (with.replica > 0).then_some("hung_up"), "{with:?}");
    }
    assert_eq!(together, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_what_it_was_where_it_is_shared() {
    let origin = origin(Does::HangUp, Duration::from_secs(2));
    for end in all_ask(&replicas(&origin, Some(&Arc::default()))).await {
        assert_eq!((end.status, end.word.as_deref()), (None, (end.replica > 0).then_some("hung_up")), "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_dies_costs_others_the_timeout() {
    let (shared, origin) = (Arc::<Shared>::default(), origin(Does::Answer, Duration::from_secs(6)));
    shared.deadly.store(true, Ordering::SeqCst);
    let replicas = replicas(&origin, Some(&shared));
    let dies = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        shared.silence(0);
    };
    let ((), ends) = tokio::join!(dies, all_ask(&replicas));
    for end in ends.iter().filter(|end| end.replica > 0) {
        assert!(end.after <= Duration::from_secs(7) + TIMEOUT, "{end:?}");
    }
    assert_eq!(origin.count(), 2, "one of the others fetches instead");
}

#[tokio::test(start_paused = true)]
async fn a_slow_heartbeat_of_a_holder_makes_no_request_late() {
    let (shared, origin) = (Arc::<Shared>::default(), origin(Does::Answer, Duration::from_secs(6)));
    let replicas = replicas(&origin, Some(&shared));
    let falls_silent = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        shared.silence(0);
    };
    let ((), ends) = tokio::join!(falls_silent, all_ask(&replicas));
    for end in ends {
        assert!(end.after <= Duration::from_secs(6) + TIMEOUT, "{end:?}");
    }
    assert_eq!(origin.count(), 2);
}
