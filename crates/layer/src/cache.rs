//! What all routes share: store, flights, clock, counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_store::{Invalidation, Ledger, LedgerStats, MemoryStats, MemoryStore, Position};

use crate::body_log::InFlight;
use crate::clock::Clock;
use crate::flight::Flights;

/// The part of the capacity that bodies in flight may take: an eighth. The rest is for what is stored.
const IN_FLIGHT_SHARE: u64 = 8;

/// Background refreshes at the same time, unless set otherwise: what a soft purge of everything may ask of an origin at once.
const MOST_REFRESHES: u64 = 64;

/// Store, flights and clock, shared by all routes.
#[derive(Debug)]
pub struct Cache {
    pub(crate) store: MemoryStore,
    pub(crate) flights: Arc<Flights>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    fetches: AtomicU64,
    most_refreshes: AtomicU64,
}

/// Counted where it happens; read by [`Cache::stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) fills: AtomicU64,
    pub(crate) followers: AtomicU64,
    pub(crate) waiting: AtomicU64,
    refreshing: AtomicU64,
}

/// Counts as one in a gauge for as long as it lives.
pub(crate) struct Counted {
    cache: Arc<Cache>,
    gauge: fn(&Counters) -> &AtomicU64,
}

impl Counted {
    pub(crate) fn new(cache: &Arc<Cache>, gauge: fn(&Counters) -> &AtomicU64) -> Self {
        gauge(&cache.counters).fetch_add(1, Ordering::Relaxed);
        Self { cache: Arc::clone(cache), gauge }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.gauge)(&self.cache.counters).fetch_sub(1, Ordering::Relaxed);
    }
}

/// Figures for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// The memory tier.
    pub memory: MemoryStats,
    /// The invalidations.
    pub ledger: LedgerStats,
    /// Exchanges with the origin under way.
    pub fills_in_flight: u64,
    /// Bytes of bodies under way.
    pub bytes_in_flight: u64,
    /// Requests that wait for another request's exchange.
    pub waiting: u64,
    /// Requests that were answered by another request's exchange, since the start.
    pub followers: u64,
}

impl Cache {
    /// A cache that holds at most `capacity` bytes, bodies in flight included, made for responses of up to `largest` bytes.
    pub fn new(capacity: u64, largest: u64, clock: Clock) -> Arc<Self> {
        let in_flight = capacity / IN_FLIGHT_SHARE;
        Arc::new(Self {
            store: MemoryStore::new(capacity - in_flight, largest, Arc::new(Ledger::default())),
            flights: Arc::default(),
            in_flight: Arc::new(InFlight::new(in_flight)),
            clock,
            counters: Counters::default(),
            fetches: AtomicU64::new(0),
            most_refreshes: AtomicU64::new(MOST_REFRESHES),
        })
    }

    /// Figures for metrics.
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            memory: self.store.stats(),
            ledger: self.store.ledger().stats(self.clock.now()),
            fills_in_flight: self.counters.fills.load(Ordering::Relaxed),
            bytes_in_flight: self.in_flight.held(),
            waiting: self.counters.waiting.load(Ordering::Relaxed),
            followers: self.counters.followers.load(Ordering::Relaxed),
        }
    }

    /// Makes everything old that an invalidation names. No request that starts after it returns gets any of it, but for what a soft
    /// invalidation leaves to be served while it is refreshed.
    pub fn invalidate(&self, invalidation: &Invalidation) -> Position {
        self.store.ledger().apply(invalidation, self.clock.now())
    }

    /// About how many stored responses an invalidation would concern. Nothing is changed, and nobody is held up.
    pub fn estimate(&self, invalidation: &Invalidation) -> u64 {
        self.store.estimate(invalidation)
    }

    /// Lets at most `most` background refreshes run at the same time. A stale response that finds no room is served all the same, and
    /// refreshed when it is next asked for.
    pub fn limit_refreshes(&self, most: u64) {
        self.most_refreshes.store(most, Ordering::Relaxed);
    }

    /// Room for one more background refresh, if there is any.
    pub(crate) fn refresh_turn(self: &Arc<Self>) -> Option<Counted> {
        let turn = Counted::new(self, |counters| &counters.refreshing);
        (self.counters.refreshing.load(Ordering::Relaxed) <= self.most_refreshes.load(Ordering::Relaxed)).then_some(turn)
    }

    /// The number of a fetch that begins now.
    pub(crate) fn next_fetch(&self) -> u64 {
        self.fetches.fetch_add(1, Ordering::Relaxed) + 1
    }
}
