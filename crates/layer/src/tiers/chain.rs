//! The chain, and what is counted for each of its tiers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_store::{InvalidationLog, RemoteStore};

use crate::cache::Cache;
use crate::error::FetchError;

/// The tiers behind the memory, and the log of invalidations that replicas share.
///
/// ```text
/// memory -> the first tier -> the next one ... -> origin
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Tiers {
    stores: Vec<Arc<dyn RemoteStore>>,
    pub(crate) log: Option<Arc<dyn InvalidationLog>>,
    pub(crate) failure_word: FailureWord,
}

/// The word for a failure of the inner service; `None`: other replicas do not share it.
pub(crate) type FailureWord = fn(&FetchError) -> Option<&'static str>;

impl Tiers {
    /// No tier yet, and no other replicas.
    pub fn new() -> Self {
        Self { stores: Vec::new(), log: None, failure_word: FetchError::word }
    }

    /// With one more tier, which is asked after those that are there already.
    pub fn then(mut self, store: Arc<dyn RemoteStore>) -> Self {
        self.stores.push(store);
        self
    }

    /// With the log of invalidations. It has to go into the ledger that the cache is made with.
    pub fn with_log(mut self, log: Arc<dyn InvalidationLog>) -> Self {
        self.log = Some(log);
        self
    }

    /// With words for failures of the inner service, in visible ASCII. Requests of other replicas that have waited for a fetch which fails end with
    /// [`FailedElsewhere`](crate::FailedElsewhere) and its word; `None` for a failure that is this replica's own: then they try for themselves.
    /// Default: the Proxy-Status type of the error's kind, where that says something of the origin.
    pub fn failure_words(mut self, word: fn(&FetchError) -> Option<&'static str>) -> Self {
        self.failure_word = word;
        self
    }

    pub(crate) fn chain(self) -> Arc<[Tier]> {
        self.stores.into_iter().map(|store| Tier { store, counters: TierCounters::default() }).collect()
    }
}

impl Default for Tiers {
    fn default() -> Self {
        Self::new()
    }
}

/// A tier of the chain.
#[derive(Debug)]
pub(crate) struct Tier {
    pub(crate) store: Arc<dyn RemoteStore>,
    pub(super) counters: TierCounters,
}

#[derive(Debug, Default)]
pub(super) struct TierCounters {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) promotions: AtomicU64,
}

pub(super) fn count(cell: &AtomicU64) {
    cell.fetch_add(1, Ordering::Relaxed);
}

/// Figures of one tier, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TierStats {
    /// Its name.
    pub name: &'static str,
    /// Look-ups that brought a response, whatever became of it.
    pub hits: u64,
    /// Look-ups that brought none.
    pub misses: u64,
    /// Look-ups that failed, were refused by its breaker, or took longer than its deadline.
    pub failures: u64,
    /// Responses given to it because a farther tier had them.
    pub promotions: u64,
}

impl Cache {
    /// Figures of the tiers behind the memory, from the nearest to the farthest.
    pub fn tier_stats(&self) -> Vec<TierStats> {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let tiers = self.tiers.iter().map(|Tier { store, counters }| TierStats {
            name: store.name(),
            hits: read(&counters.hits),
            misses: read(&counters.misses),
            failures: read(&counters.failures),
            promotions: read(&counters.promotions),
        });
        tiers.collect()
    }
}
