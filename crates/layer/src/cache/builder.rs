//! The settings of a cache.

use std::hash::RandomState;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use larder_store::{Ledger, MemoryStore};

use super::{Cache, Counters};
use crate::body::log::InFlight;
use crate::clock::Clock;
use crate::lookup::request_counts::RequestCounts;
use crate::rules::{Bypasses, Cascade, MAX_OBJECT};
use crate::task::purges::Purges;
use crate::tiers::chain::Tiers;

/// The part of the capacity that bodies in flight may take: an eighth. The rest is for stored responses.
const IN_FLIGHT_SHARE: u64 = 8;

/// Background refreshes at the same time, unless set otherwise. It bounds the load on an origin after a soft purge of everything.
const MAX_REFRESHES: u64 = 64;

/// Builds a [`Cache`].
///
/// ```
/// use larder_tower::Cache;
///
/// let cache = Cache::builder(256 << 20).max_object(1 << 20).build();
/// assert_eq!(cache.stats().memory.entries, 0);
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct CacheBuilder {
    capacity: u64,
    max_object: u64,
    max_in_memory: u64,
    clock: Clock,
    ledger: Arc<Ledger>,
    tiers: Tiers,
    max_refreshes: u64,
    cascade: Option<Arc<dyn Cascade>>,
}

impl CacheBuilder {
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            max_object: MAX_OBJECT,
            max_in_memory: u64::MAX,
            clock: Clock::system(),
            ledger: Arc::default(),
            tiers: Tiers::new(),
            max_refreshes: MAX_REFRESHES,
            cascade: None,
        }
    }

    /// The largest body that the store is divided for, in bytes: larger ones may not fit. What is stored at all is said by
    /// [`RouteRulesBuilder::max_object`](crate::RouteRulesBuilder::max_object). Default: 8 MiB.
    pub fn max_object(self, bytes: u64) -> Self {
        Self { max_object: bytes, ..self }
    }

    /// The longest body that is kept in memory where a tier takes bodies while they arrive
    /// ([`RemoteStore::begin_body`](larder_store::RemoteStore::begin_body)), in bytes: longer ones go straight there, and are read from there. Default: no
    /// such limit.
    pub fn max_in_memory(self, bytes: u64) -> Self {
        Self { max_in_memory: bytes, ..self }
    }

    /// Where "now" comes from. Default: the machine's clock; tests move a manual one ([`Clock::manual`]).
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The ledger of invalidations. The log of [`Self::tiers`] has to go into it.
    pub fn ledger(self, ledger: Arc<Ledger>) -> Self {
        Self { ledger, ..self }
    }

    /// Tiers behind the memory, which replicas may share. Default: none.
    pub fn tiers(self, tiers: Tiers) -> Self {
        Self { tiers, ..self }
    }

    /// The most background refreshes at the same time ([`Cache::limit_refreshes`]). Default: 64.
    pub fn max_refreshes(self, max: u64) -> Self {
        Self { max_refreshes: max, ..self }
    }

    /// Targets that follow from those of an invalidation ([`Cache::set_cascade`]). Default: none.
    pub fn cascade(self, cascade: impl Cascade + 'static) -> Self {
        Self { cascade: Some(Arc::new(cascade)), ..self }
    }

    /// The cache.
    pub fn build(self) -> Arc<Cache> {
        let in_flight = self.capacity / IN_FLIGHT_SHARE;
        Arc::new(Cache {
            store: MemoryStore::new(self.capacity - in_flight, self.max_object, self.ledger),
            flights: Arc::default(),
            in_flight: Arc::new(InFlight::new(in_flight)),
            clock: self.clock,
            counters: Counters::default(),
            max_in_memory: self.max_in_memory,
            log: self.tiers.log.clone(),
            failure_word: self.tiers.failure_word,
            tiers: self.tiers.chain(),
            bypasses: Bypasses::default(),
            requests: RequestCounts::default(),
            answers: Mutex::default(),
            fetches: AtomicU64::new(0),
            seed: RandomState::new(),
            settled: AtomicU32::new(0),
            max_refreshes: AtomicU64::new(self.max_refreshes),
            write_wait: AtomicU64::new(0),
            set_aside: AtomicU64::new(0),
            purges: Purges::default(),
            folds_told: AtomicU64::new(0),
            cascade: RwLock::new(self.cascade),
            unfinished: Arc::default(),
            packer: OnceLock::new(),
        })
    }
}
