//! One limit at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use larder_limits::Table;
use larder_tower::clock::monotonic;

use crate::config::RateLimit;
use crate::telemetry::snapshot::{LabelledCount, LimitSnapshot};

/// What became of a request that a limit holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitOutcome {
    /// It fitted in.
    Admitted,
    /// It waited until it did.
    Delayed,
    /// It did not fit in, and was answered from the store.
    Stale,
    /// It did not fit in, and was answered with 429.
    Refused,
    /// It did not fit in, and the limit only observes.
    Observed,
}

impl LimitOutcome {
    const ALL: [(&'static str, Self); 5] = [
        ("admitted", Self::Admitted),
        ("delayed", Self::Delayed),
        ("stale", Self::Stale),
        ("refused", Self::Refused),
        ("observed", Self::Observed),
    ];
}

/// A limit with what its clients have used.
#[derive(Debug)]
pub(crate) struct RunningLimit {
    pub(crate) settings: RateLimit,
    usage: Arc<Usage>,
    counts: Arc<[AtomicU64; LimitOutcome::ALL.len()]>,
}

/// What outlives a reload that does not change the rate.
#[derive(Debug)]
struct Usage {
    table: Table,
    began: Instant,
}

impl RunningLimit {
    /// What `before` has counted goes on by its name, and what its clients have used goes on where key and rate are the same.
    pub(super) fn new(settings: RateLimit, before: Option<&Self>) -> Self {
        let fresh = || Arc::new(Usage { table: Table::new(settings.rate(), settings.max_keys), began: monotonic() });
        let is_same = |before: &&Self| {
            let (then, now) = (&before.settings, &settings);
            then.rate() == now.rate() && then.key == now.key && then.count == now.count && then.max_keys == now.max_keys
        };
        let usage = before.filter(is_same).map_or_else(fresh, |before| Arc::clone(&before.usage));
        let counts = before.map_or_else(Arc::default, |before| Arc::clone(&before.counts));
        Self { settings, usage, counts }
    }

    pub(crate) fn table(&self) -> &Table {
        &self.usage.table
    }

    /// Microseconds, as the table counts them.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(monotonic().saturating_duration_since(self.usage.began).as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn count(&self, outcome: LimitOutcome) {
        self.counts[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> LimitSnapshot {
        let count = |(label, outcome): (&'static str, LimitOutcome)| LabelledCount {
            label,
            count: self.counts[outcome as usize].load(Ordering::Relaxed),
        };
        LimitSnapshot {
            limit: self.settings.name.to_string(),
            requests: LimitOutcome::ALL.into_iter().map(count).collect(),
            keys: self.table().len() as u64,
        }
    }
}
