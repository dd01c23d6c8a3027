//! The flights under way: which request leads, which follow, and how the leader's outcome reaches them.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use larder_semantics::{PrimaryKey, Timestamp};
use larder_store::{KeyHash, Ledger, PassThroughHasher, Position, Subject, TagList, Tags, Validity};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::outcome::FetchOutcome;
use crate::clock;
use crate::error::FetchError;
use crate::steps::SpanLink;

const SHARDS: usize = 32;

/// The flights under way, by key.
#[derive(Debug)]
pub(crate) struct Flights(Box<[Mutex<Shard>]>);

type Shard = HashMap<KeyHash, Arc<Flight>, BuildHasherDefault<PassThroughHasher>>;

#[derive(Debug)]
struct Flight {
    key: PrimaryKey,
    /// The ledger's position from before it began.
    position: Position,
    /// When it began.
    began: Timestamp,
    /// The tags of its answer that are known beforehand; `None` where they are too many to be kept.
    tags: Option<Tags>,
    /// Whether the answer's body may name more, which are known at its end only.
    more_tags: bool,
    /// Whether the leader has waited for another replica's fetch first, and since when it fetches itself.
    waits_elsewhere: AtomicBool,
    /// The place of the leader's fetch in a trace, where it is traced.
    span: OnceLock<SpanLink>,
    fetches_since: OnceLock<Instant>,
    /// Set once.
    outcome: OnceLock<FetchOutcome>,
    landed: Notify,
    followers: AtomicUsize,
    /// Told when the last follower leaves.
    deserted: Notify,
}

/// How to go on.
#[derive(Debug)]
pub(crate) enum Join {
    /// Fetch; others wait for the outcome.
    Lead(Permit),
    /// Wait.
    Follow(Following),
}

/// A request that waits for the outcome of another one's flight.
#[derive(Debug)]
pub(crate) struct Following(Arc<Flight>);

/// The right and duty to fetch for a key. Dropped before it lands (a panic, a shutdown), it releases the followers.
#[derive(Debug)]
pub(crate) struct Permit {
    flights: Arc<Flights>,
    hash: KeyHash,
    flight: Arc<Flight>,
}

/// A flight whose outcome is known. Requests still join until it is dropped: after the response was committed, so that there is no
/// gap between flight and store.
#[derive(Debug)]
pub(crate) struct Landed {
    permit: Permit,
}

impl Default for Flights {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Flights {
    /// Joins the flight for `key`, or starts one with these `tags`, to which its answer's body may add `more_tags`. A flight from before an
    /// invalidation that concerns it is not joined: it may carry old data. Nor is one from before this process was cut off from the log of
    /// invalidations for too long, or stood still.
    pub(crate) fn join(
        self: &Arc<Self>,
        hash: KeyHash,
        key: &PrimaryKey,
        ledger: &Ledger,
        now: Timestamp,
        more_tags: bool,
        tags: impl FnOnce() -> Option<Tags>,
    ) -> Join {
        let mut shard = self.shard(hash);
        if let Some(flight) = shard.get(&hash)
            && flight.takes(key, ledger, now)
        {
            return Join::Follow(Following::new(flight));
        }
        let (position, tags) = (ledger.position(), tags());
        let flight = Arc::new(Flight {
            key: key.clone(),
            position,
            began: now,
            tags,
            more_tags,
            waits_elsewhere: AtomicBool::new(false),
            span: OnceLock::new(),
            fetches_since: OnceLock::new(),
            outcome: OnceLock::new(),
            landed: Notify::new(),
            followers: AtomicUsize::new(0),
            deserted: Notify::new(),
        });
        shard.insert(hash, Arc::clone(&flight));
        Join::Lead(Permit { flights: Arc::clone(self), hash, flight })
    }

    /// Whether a request for `key` would join a flight.
    pub(crate) fn is_under_way(&self, hash: KeyHash, key: &PrimaryKey, ledger: &Ledger, now: Timestamp) -> bool {
        self.shard(hash).get(&hash).is_some_and(|flight| flight.takes(key, ledger, now))
    }

    fn shard(&self, hash: KeyHash) -> MutexGuard<'_, Shard> {
        self.0[hash as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Whether a request for `key` that comes now may join.
    fn takes(&self, key: &PrimaryKey, ledger: &Ledger, now: Timestamp) -> bool {
        self.key == *key && self.is_current(ledger) && ledger.vouches_for(self.began, now)
    }

    /// Whether nothing that it is known to bring was invalidated since it began. Where more may come to be known, any invalidation may
    /// have been about that.
    fn is_current(&self, ledger: &Ledger) -> bool {
        let is_valid = |tags: TagList<'_>| ledger.check(&Subject { url: self.key.url(), tags }, self.position) == Validity::Valid;
        match self.outcome.get() {
            Some(FetchOutcome::Fetched(pending) | FetchOutcome::Arriving(pending)) => pending.is_current(self.key.url(), ledger),
            Some(FetchOutcome::Validated { stored, is_shared: true }) => is_valid(stored.tags()),
            _ => match &self.tags {
                Some(tags) if !self.more_tags => is_valid(tags.into()),
                _ => ledger.position() <= self.position,
            },
        }
    }

    /// Whether the leader has waited for another replica, and fetches itself since then at the earliest, or is about to.
    fn is_begun_since(&self, joined: Instant) -> bool {
        self.waits_elsewhere.load(Ordering::Relaxed) && self.fetches_since.get().is_none_or(|since| *since >= joined)
    }

    /// The first outcome counts.
    fn land(&self, outcome: FetchOutcome) {
        if self.outcome.set(outcome).is_ok() {
            self.landed.notify_waiters();
        }
    }
}

impl Following {
    fn new(flight: &Arc<Flight>) -> Self {
        flight.followers.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(flight))
    }

    /// Waits for the outcome. A fetch that was under way when this request came is waited for at most `max_wait`. One that the
    /// leader began later, because it had waited for another replica before, is waited for to its end: the fetch that this request would
    /// make instead would begin later still, and all that wait would make one.
    pub(crate) async fn outcome_within(&self, max_wait: Duration) -> Option<FetchOutcome> {
        let joined = clock::timer_now();
        let mut outcome = pin!(self.outcome());
        match tokio::time::timeout(max_wait, outcome.as_mut()).await {
            Ok(outcome) => Some(outcome),
            Err(_) if self.0.is_begun_since(joined) => Some(outcome.await),
            Err(_) => None,
        }
    }

    /// The place of the leader's fetch in a trace, where it is traced.
    pub(crate) fn leaders_span(&self) -> Option<SpanLink> {
        self.0.span.get().copied()
    }

    /// Waits for the outcome. There always is one: a permit that is dropped lands as well.
    async fn outcome(&self) -> FetchOutcome {
        let mut landed = pin!(self.0.landed.notified());
        // From here on an outcome is not missed.
        landed.as_mut().enable();
        if self.0.outcome.get().is_none() {
            landed.await;
        }
        self.0.outcome.get().cloned().unwrap_or(FetchOutcome::NotShared)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if self.0.followers.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.deserted.notify_one();
        }
    }
}

impl Permit {
    /// The fetch has this place in a trace.
    pub(crate) fn is_traced_as(&self, span: SpanLink) {
        // A flight has one leader.
        let _ = self.flight.span.set(span);
    }

    /// A check whether there are followers, which outlives the permit.
    pub(crate) fn followed(&self) -> impl Fn() -> bool + Send + use<> {
        let flight = Arc::clone(&self.flight);
        move || flight.followers.load(Ordering::SeqCst) > 0
    }

    /// The ledger's position from before the fetch.
    pub(crate) fn position(&self) -> Position {
        self.flight.position
    }

    /// The tags of the answer that are known beforehand.
    pub(crate) fn tags(&self) -> Option<&Tags> {
        self.flight.tags.as_ref()
    }

    /// Whether other requests wait for the outcome.
    pub(crate) fn is_followed(&self) -> bool {
        self.flight.followers.load(Ordering::SeqCst) > 0
    }

    /// Waits until there may be no followers any more.
    pub(crate) async fn deserted(&self) {
        self.flight.deserted.notified().await;
    }

    fn leave(&self) {
        let mut shard = self.flights.shard(self.hash);
        if shard.get(&self.hash).is_some_and(|current| Arc::ptr_eq(current, &self.flight)) {
            shard.remove(&self.hash);
        }
    }

    /// The leader waits for another replica's fetch before it asks the origin.
    pub(crate) fn waits_elsewhere(&self) {
        self.flight.waits_elsewhere.store(true, Ordering::Relaxed);
    }

    /// The leader fetches from now on.
    pub(crate) fn begin(&self) {
        let _ = self.flight.fetches_since.set(clock::timer_now());
    }

    /// Hands the outcome to the followers. `None`: the flight is over, since this outcome is only for requests that wait already.
    pub(crate) fn land(self, outcome: FetchOutcome) -> Option<Landed> {
        let is_over = outcome.ends_flight();
        if is_over {
            self.leave();
        }
        self.flight.land(outcome);
        (!is_over).then_some(Landed { permit: self })
    }
}

impl Landed {
    /// Ends the flight: no request joins from now on. Whether one has, and not yet taken the outcome.
    pub(crate) fn leave(self) -> bool {
        self.permit.leave();
        self.permit.is_followed()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.leave();
        // Each follower would meet the same panic.
        self.flight.land(match std::thread::panicking() {
            true => FetchOutcome::Failed { error: FetchError::lost(), stored: None },
            false => FetchOutcome::NotShared,
        });
    }
}

#[cfg(test)]
mod tests;
