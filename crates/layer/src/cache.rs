//! The cache that all routes share: store, flights, clock, counters.

mod builder;
mod packing;

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use larder_semantics::guard::AnswersByClient;
use larder_store::{Invalidation, InvalidationLog, LedgerStats, MemoryStats, MemoryStore, PackingStats, StoredResponse, shapes_weight};
use tokio::sync::watch;

use crate::body::log::InFlight;
use crate::clock::Clock;
use crate::collapse::flight::Flights;
use crate::lookup::request_counts::RequestCounts;
use crate::rules::{Bypasses, Cascade};
use crate::task::purges::Purges;
use crate::task::unfinished::Unfinished;
use crate::tiers::chain::{FailureWord, Tier};

pub use builder::CacheBuilder;
use packing::Packer;

/// The stored responses, shared by all layers that are made with it: `Arc` clones are the same cache.
///
/// Purging from code, and figures for metrics:
///
/// ```
/// # use larder_tower::{Cache, Invalidation};
/// # async fn purge(cache: &Cache) {
/// cache.invalidate(&Invalidation::tag("issue:7")).await;
/// cache.invalidate(&Invalidation::path("/issues/7")).await;                // on every host, with any query
/// cache.invalidate(&Invalidation::pattern("*/issues/**").into_soft()).await;   // served on while it is refreshed
/// let stats = cache.stats();
/// println!("{} entries, {} bytes", stats.memory.entries, stats.memory.bytes);
/// # }
/// ```
#[derive(Debug)]
pub struct Cache {
    pub(crate) store: MemoryStore,
    pub(crate) flights: Arc<Flights>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    /// Longer bodies are not kept in memory where a tier takes them while they arrive.
    pub(crate) max_in_memory: u64,
    /// Behind the memory, from the nearest to the farthest.
    pub(crate) tiers: Arc<[Tier]>,
    /// The log that replicas share.
    pub(crate) log: Option<Arc<dyn InvalidationLog>>,
    /// The words under which replicas share failures.
    pub(crate) failure_word: FailureWord,
    pub(crate) bypasses: Bypasses,
    /// How often keys were asked for of which nothing is stored.
    pub(crate) requests: RequestCounts,
    /// Which clients got which answers, as guards know it.
    pub(crate) answers: Mutex<AnswersByClient>,
    /// The number of the last fetch.
    fetches: AtomicU64,
    seed: RandomState,
    /// The second in which [`Self::settle`] last did something.
    settled: AtomicU32,
    max_refreshes: AtomicU64,
    /// Milliseconds that a write waits for other replicas.
    write_wait: AtomicU64,
    /// Bytes of what others keep that belongs to the capacity.
    set_aside: AtomicU64,
    purges: Purges,
    /// How many [`Folds`](larder_store::Folds) have been logged.
    folds_told: AtomicU64,
    cascade: RwLock<Option<Arc<dyn Cascade>>>,
    /// Writes and publications that a process which stops waits for.
    pub(crate) unfinished: Arc<Unfinished>,
    /// Where bodies are packed.
    packer: OnceLock<Packer>,
}

/// Bits of a fetch's number below its milliseconds. They are random, so that two replicas do not give out the same number.
const FETCH_RANDOM_BITS: u32 = 20;

/// A random number that belongs to a fetch: the bits of its number well mixed, as splitmix64 ends.
pub(crate) fn random_of(fetch: u64) -> u32 {
    let mixed = (fetch ^ (fetch >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 32) as u32
}

/// Counted where it happens; read by [`Cache::stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) fills: AtomicU64,
    pub(crate) followers: AtomicU64,
    pub(crate) waiting: AtomicU64,
    pub(crate) bypasses_refused: AtomicU64,
    pub(crate) asked_again: AskedAgainCounters,
    refreshing: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct AskedAgainCounters {
    pub(crate) continued: AtomicU64,
    pub(crate) differing: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// Answers from tiers that broke off midway, and for which the origin was asked again, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AskedAgain {
    /// The second answer was the same, and went on for their clients.
    pub continued: u64,
    /// It was another one.
    pub differing: u64,
    /// None came.
    pub failed: u64,
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
#[non_exhaustive]
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
    /// Requests with the bypass parameter that were answered as without it, since the start: their network had asked too often.
    pub bypasses_refused: u64,
    /// Answers whose tier failed midway, and that the origin was asked for again.
    pub asked_again: AskedAgain,
    /// Bodies that memory holds packed; `None` where it holds them as they are.
    pub packing: Option<PackingStats>,
}

impl Cache {
    /// A cache of at most `capacity` bytes, in memory: keys, header fields, bodies and bookkeeping together, and an eighth of it for bodies on
    /// their way. [`Cache::builder`] sets more.
    pub fn new(capacity: u64) -> Arc<Self> {
        Self::builder(capacity).build()
    }

    /// Settings of a cache of at most `capacity` bytes.
    pub fn builder(capacity: u64) -> CacheBuilder {
        CacheBuilder::new(capacity)
    }

    /// Divides the capacity anew between entries and what else takes memory: the ledger, the shapes of heads, and bodies that are read
    /// although they are not stored any more. Once a second at most, since the division takes all locks of the store.
    pub(crate) fn settle(&self) {
        self.in_flight.look();
        let now = self.clock.now().as_secs();
        if self.settled.swap(now, Ordering::Relaxed) != now {
            // Bodies that were made whole for answers under way.
            let whole = self.packer.get().map_or(0, |packer| packer.packing().stats().whole_bytes);
            let others = self.requests.weight() + self.set_aside.load(Ordering::Relaxed) + whole;
            self.store.leave_room(self.in_flight.departed() + self.store.ledger().weight() + shapes_weight() + others);
        }
    }

    /// Figures for metrics. Hits and misses are not among them: the [`Outcome`](crate::Outcome) of each request tells them, with the reason.
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            memory: self.store.stats(),
            ledger: self.store.ledger().stats(self.clock.now()),
            fills_in_flight: self.counters.fills.load(Ordering::Relaxed),
            bytes_in_flight: self.in_flight.held(),
            waiting: self.counters.waiting.load(Ordering::Relaxed),
            followers: self.counters.followers.load(Ordering::Relaxed),
            bypasses_refused: self.counters.bypasses_refused.load(Ordering::Relaxed),
            asked_again: AskedAgain {
                continued: self.counters.asked_again.continued.load(Ordering::Relaxed),
                differing: self.counters.asked_again.differing.load(Ordering::Relaxed),
                failed: self.counters.asked_again.failed.load(Ordering::Relaxed),
            },
            packing: self.packer.get().map(|packer| packer.packing().stats()),
        }
    }

    /// About how many stored responses an invalidation would concern. Nothing is changed, and no request waits for it.
    pub fn estimate(&self, invalidation: &Invalidation) -> u64 {
        self.store.estimate(&self.widened(invalidation))
    }

    /// From now on `cascade` widens every invalidation; `None`: nothing does.
    pub fn set_cascade(&self, cascade: Option<Arc<dyn Cascade>>) {
        *self.cascade.write().unwrap_or_else(PoisonError::into_inner) = cascade;
    }

    /// An invalidation with the targets that follow from it.
    pub(crate) fn widened<'i>(&self, invalidation: &'i Invalidation) -> Cow<'i, Invalidation> {
        let cascade = self.cascade.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(cascade) = cascade else { return Cow::Borrowed(invalidation) };
        let mut whole = invalidation.clone();
        cascade.widen(&mut whole);
        Cow::Owned(whole)
    }

    /// Lets at most `max` background refreshes run at the same time. A stale response that finds no room is served all the same, and
    /// refreshed when it is next asked for.
    pub fn limit_refreshes(&self, max: u64) {
        self.max_refreshes.store(max, Ordering::Relaxed);
    }

    /// Whether memory, which was divided for [`CacheBuilder::max_object`], does not hold an object of so many bytes, and would if it were divided for that.
    pub fn is_divided_too_finely_for(&self, bytes: u64) -> bool {
        self.store.is_divided_too_finely_for(bytes.min(self.max_in_memory))
    }

    /// Takes so many bytes from what entries may take: the caller keeps as much about them, such as a list of what is asked for most.
    pub fn set_aside(&self, bytes: u64) {
        self.set_aside.store(bytes, Ordering::Relaxed);
    }

    /// Changes with every purge that this process is told of ([`Self::invalidate`], [`Self::invalidate_received`]), once the log has it or its caller waits
    /// no more; and once more when an entry of the log that came later has been read back, which makes old what was fetched since. What writes
    /// invalidate is none.
    pub fn watch_purges(&self) -> watch::Receiver<u64> {
        self.purges.watch()
    }

    pub(crate) fn purged(&self) {
        self.purges.tell(self.log.as_ref());
    }

    /// Lets the answer to a write wait until every live replica has applied its invalidation, for `wait` at most, to the
    /// millisecond. Not at all unless set: other replicas follow by themselves, a moment later.
    pub fn wait_for_replicas(&self, wait: Duration) {
        self.write_wait.store(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn write_wait(&self) -> Duration {
        Duration::from_millis(self.write_wait.load(Ordering::Relaxed))
    }

    /// Logs it once where records of invalidations had to make room.
    pub(crate) fn tell_of_folds(&self) {
        let folds = self.store.ledger().folds();
        let count = folds.coarser + folds.everything;
        if self.folds_told.load(Ordering::Relaxed) < count && self.folds_told.fetch_max(count, Ordering::Relaxed) < count {
            tracing::warn!(
                coarser = folds.coarser,
                everything = folds.everything,
                "there were too many invalidations to keep them apart: what is near to what they named is old too, or everything from before"
            );
        }
    }

    /// Room for one more background refresh, if there is any.
    pub(crate) fn refresh_slot(self: &Arc<Self>) -> Option<Counted> {
        let slot = Counted::new(self, |counters| &counters.refreshing);
        (self.counters.refreshing.load(Ordering::Relaxed) <= self.max_refreshes.load(Ordering::Relaxed)).then_some(slot)
    }

    /// The number of a fetch that begins now: later than any given out or seen before, and, as far as the replicas' clocks agree, later
    /// than those of fetches that other replicas began before.
    pub(crate) fn next_fetch(&self) -> u64 {
        let random = self.seed.hash_one(self.fetches.load(Ordering::Relaxed)) & ((1 << FETCH_RANDOM_BITS) - 1);
        let now = (self.clock.now().as_millis() << FETCH_RANDOM_BITS) | random;
        let next = |last: u64| now.max(last.saturating_add(1));
        let last = self.fetches.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        last.map_or(now, next)
    }

    /// How long the fetch of a stored response took, in milliseconds, and a random number of its own: both are in the number of its fetch.
    pub(crate) fn took(stored: &StoredResponse) -> (u64, u32) {
        let began = stored.fetch >> FETCH_RANDOM_BITS;
        (stored.head.response_time.as_millis().saturating_sub(began), random_of(stored.fetch))
    }

    /// A fetch of another replica is known from now on: fetches that begin later have greater numbers.
    pub(crate) fn saw_fetch(&self, fetch: u64) {
        self.fetches.fetch_max(fetch, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use larder_store::InvalidationTarget;

    use super::*;

    #[tokio::test]
    async fn invalidations_that_had_to_make_room_are_told_when_a_message_brings_them() {
        let cache = Cache::builder(64 << 20).build();
        let tags = (0..300_000).map(|n| InvalidationTarget::Tag(format!("{n}")));
        cache.invalidate_received(&Invalidation::hard(tags), vec![7]).await;
        let folds = cache.store.ledger().folds();
        assert!(folds.coarser + folds.everything > 0);
        assert_eq!(cache.folds_told.load(Ordering::Relaxed), folds.coarser + folds.everything);
    }
}
