//! A tier as several replicas share it: entries, leases, relays, failures, and who lives.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_store::codec::{Record, decode, encode};
use larder_store::{
    FetchFailure, HeldLease, Lease, LeaseEnd, LeaseHolder, LoadRequest, Loaded, Offered, Piece, Pieces, Position, Relayed, RemoteError,
    RemoteStore, StoreFuture, StoredResponse, Write,
};
use larder_tower::clock::Clock;
use larder_tower::{Cache, CacheBuilder, CacheService, RouteRules, Tiers};
use tokio::time::Instant;

use crate::arriving::NoLog;
use crate::common::{self, Origin, rules};

/// As `timeout` in `[store.redis]`.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(50);

/// A round trip to the tier.
pub(crate) const TRIP: Duration = Duration::from_millis(1);

/// How long a holder lets others wait for a body after its head.
pub(crate) const BODY_PATIENCE: Duration = Duration::from_millis(15);

pub(crate) const REPLICAS: usize = 3;

#[expect(clippy::disallowed_methods, reason = "the runtime's time, which is paused here")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

type OfferedSince = (Instant, Arc<dyn Offered>);

/// A tier as replicas share it: entries, leases, failures, and who lives.
#[derive(Default)]
pub(crate) struct Shared {
    entries: Mutex<HashMap<String, Arc<StoredResponse>>>,
    leases: Mutex<HashMap<String, State>>,
    failures: Mutex<HashMap<u64, FetchFailure>>,
    tokens: AtomicU64,
    /// Answers on their way, by the tokens of their leases, and since when.
    offered: Mutex<HashMap<u64, OfferedSince>>,
    /// Responses written.
    commits: AtomicUsize,
    /// Since when a replica gives no sign of life.
    silent: Mutex<[Option<Instant>; REPLICAS]>,
    /// Whether a silent replica is dead, and not only slow.
    pub(crate) deadly: AtomicBool,
    /// Whether relays break off, as where the tier itself fails.
    pub(crate) broken: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Held { token: u64, position: Position, replica: usize },
    Unshared,
}

impl Shared {
    fn is_silent(&self, replica: usize) -> bool {
        self.silent.lock().unwrap()[replica].is_some_and(|since| now() >= since + TIMEOUT * 3 / 4)
    }

    fn is_dead(&self, replica: usize) -> bool {
        self.deadly.load(Ordering::SeqCst) && self.silent.lock().unwrap()[replica].is_some()
    }

    /// Whether what this replica hands on is at its end, before that of the body.
    fn breaks_off(&self, replica: usize) -> bool {
        self.broken.load(Ordering::SeqCst) || (self.is_dead(replica) && self.is_silent(replica))
    }

    pub(crate) fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }

    /// What is offered under a lease whose body was not there soon after its head, as this replica reads it.
    fn relayed(self: &Arc<Self>, ask: &LoadRequest<'_>, holder: LeaseHolder, replica: usize) -> Option<Relayed> {
        let (since, offered) = self.offered.lock().unwrap().get(&holder.token).cloned()?;
        if since.elapsed() <= BODY_PATIENCE || holder.silent || self.broken.load(Ordering::SeqCst) {
            return None;
        }
        let response = offered.response();
        let record = match decode(encode(&response, response.position).into(), ask.key, response.variant()) {
            Ok(Record::Response(record)) => record,
            other => panic!("{other:?}"),
        };
        let pieces = ReadFrom { shared: Arc::clone(self), replica, pieces: offered.pieces()? };
        Some(Relayed { holder, record, length: offered.length(), pieces: Box::new(pieces) })
    }

    pub(crate) fn silence(&self, replica: usize) {
        self.silent.lock().unwrap()[replica] = Some(now());
    }
}

/// The tier as one replica has it.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
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
            LeaseEnd::NotShared(remembered) => Some(FetchFailure::NotShared(*remembered)),
            LeaseEnd::Failed(failure) => failure.clone(),
            LeaseEnd::GivenUp => None,
        };
        shared.offered.lock().unwrap().remove(&token);
        failure.into_iter().for_each(|failure| _ = shared.failures.lock().unwrap().insert(token, failure));
        let mut leases = shared.leases.lock().unwrap();
        if matches!(leases.get(&key), Some(State::Held { token: held, .. }) if *held == token) {
            match ending {
                LeaseEnd::GivenUp => leases.remove(&key),
                LeaseEnd::Failed(_) | LeaseEnd::NotShared(_) => leases.insert(key, State::Unshared),
            };
        }
    }

    fn arriving(&self, offered: Option<Box<dyn Offered>>) {
        let Self(Seat { shared, .. }, key, token) = self;
        match offered {
            Some(offered) => _ = shared.offered.lock().unwrap().insert(*token, (now(), offered.into())),
            None => _ = shared.leases.lock().unwrap().insert(key.clone(), State::Unshared),
        }
    }
}

/// A relay, until its holder dies or the tier fails.
struct ReadFrom {
    shared: Arc<Shared>,
    replica: usize,
    pieces: Box<dyn Pieces>,
}

impl Pieces for ReadFrom {
    fn next(&mut self) -> StoreFuture<'_, Option<Result<Piece, RemoteError>>> {
        Box::pin(async move {
            tokio::time::sleep(TRIP).await;
            let Self { shared, replica, pieces } = self;
            let breaks = async {
                while !shared.breaks_off(*replica) {
                    tokio::time::sleep(TRIP).await;
                }
            };
            tokio::select! {
                biased;
                () = breaks => Some(Err(RemoteError::Incomplete)),
                piece = pieces.next() => piece,
            }
        })
    }
}

/// Whether a request takes the lease with this token over.
fn is_instead_of(ask: &LoadRequest<'_>, token: u64) -> bool {
    ask.lease.is_some_and(|terms| terms.instead_of == Some(token))
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
            let mut leases = shared.leases.lock().unwrap();
            match leases.get(&key) {
                Some(State::Unshared) => return Ok(Loaded::Nothing(None)),
                Some(&State::Held { token, position, replica }) if !is_instead_of(&ask, token) => {
                    let holder = LeaseHolder { token, position, silent: shared.is_silent(replica) };
                    return Ok(shared.relayed(&ask, holder, replica).map_or(Loaded::Awaited(holder), Loaded::Relayed));
                }
                _ => {}
            }
            let Some(terms) = ask.lease else { return Ok(Loaded::Nothing(None)) };
            let token = shared.tokens.fetch_add(1, Ordering::SeqCst);
            leases.insert(key.clone(), State::Held { token, position: terms.position, replica: self.replica });
            Ok(Loaded::Nothing(Some(Lease::new(key.clone(), token, HeldBy(self.clone(), key, token)))))
        })
    }

    fn commit(&self, write: Write) -> StoreFuture<'_, ()> {
        if !self.shared.is_dead(self.replica) {
            self.shared.commits.fetch_add(1, Ordering::SeqCst);
            let key = write.response.key().text().to_owned();
            self.shared.entries.lock().unwrap().insert(key.clone(), write.response);
            self.shared.leases.lock().unwrap().remove(&key);
        }
        write.lease.iter().for_each(|lease| _ = self.shared.offered.lock().unwrap().remove(&lease.token()));
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

/// Replicas before this origin, with this tier.
pub(crate) fn replicas(origin: &Origin, shared: Option<&Arc<Shared>>) -> Vec<CacheService<Origin>> {
    replicas_with(origin, shared, rules())
}

/// The same with these rules.
pub(crate) fn replicas_with(origin: &Origin, shared: Option<&Arc<Shared>>, rules: RouteRules) -> Vec<CacheService<Origin>> {
    let cache = |replica| {
        let cache = Cache::builder(64 << 20).max_object(1 << 20).clock(Clock::manual(common::START).0);
        let seat = shared.map(|shared| Arc::new(Seat { shared: Arc::clone(shared), replica }));
        let tiers = seat.map(|seat| Tiers::new().then(seat).with_log(Arc::new(NoLog)).failure_words(|_| Some("hung_up")));
        tiers.into_iter().fold(cache, CacheBuilder::tiers).build()
    };
    let rules = Arc::new(rules);
    (0..REPLICAS).map(|replica| CacheService::new(origin.clone(), cache(replica), Arc::clone(&rules))).collect()
}
