//! One limit at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use larder_limits::{Standing, Table};
use larder_redis::RedisStore;
use larder_tower::clock::Clock;

use super::shared::{Answer, Shared};
use crate::config::{LimitOver, RateLimit};
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
    /// Where replicas count together.
    shared: Option<Shared>,
    began: Instant,
    clock: Clock,
}

impl RunningLimit {
    /// What `before` has counted goes on by its name, and what its clients have used goes on where key and rate are the same.
    pub(super) fn new(settings: RateLimit, redis: Option<&RedisStore>, clock: &Clock, before: Option<&Self>) -> Self {
        let shared = || redis.filter(|_| settings.shared).map(|redis| Shared::new(redis.clone(), settings.max_keys));
        let fresh = || {
            let table = Table::new(settings.rate(), settings.max_keys);
            Arc::new(Usage { table, shared: shared(), began: clock.instant(), clock: clock.clone() })
        };
        let is_same = |before: &&Self| {
            let (then, now) = (&before.settings, &settings);
            then.rate() == now.rate()
                && then.key == now.key
                && then.count == now.count
                && then.max_keys == now.max_keys
                && then.shared == now.shared
        };
        let usage = before.filter(is_same).map_or_else(fresh, |before| Arc::clone(&before.usage));
        let counts = before.map_or_else(Arc::default, |before| Arc::clone(&before.counts));
        Self { settings, usage, counts }
    }

    pub(crate) fn table(&self) -> &Table {
        &self.usage.table
    }

    /// What this replica knows of the clients where replicas count together.
    pub(super) fn shared(&self) -> Option<&Shared> {
        self.usage.shared.as_ref()
    }

    /// Takes one unit of a client, by what Redis has answered where it was asked. With `may_wait` one may be taken that is there later.
    pub(super) fn take(&self, key: &str, answer: Option<&Answer>, may_wait: bool) -> Standing {
        let (settings, now, table) = (&self.settings, self.now(), self.table());
        match (self.shared(), settings.over) {
            (Some(shared), _) => shared.take(table, key, now, answer),
            (None, LimitOver::Observe) => table.charge(key, now, 1),
            (None, LimitOver::Delay) if may_wait => {
                table.take_within(key, now, 1, u64::try_from(settings.max_delay.as_micros()).unwrap_or(u64::MAX))
            }
            (None, _) => table.take(key, now, 1),
        }
    }

    /// Gives back the unit that was taken last.
    pub(super) fn give_back(&self, key: &str) {
        match self.shared() {
            Some(shared) => shared.give_back(self.table(), key, self.now()),
            None => self.table().give_back(key, 1),
        }
    }

    /// Forgets clients that stand as new ones do.
    pub(super) fn forget_idle(&self) {
        self.table().forget_idle(self.now());
        self.shared().iter().for_each(|shared| shared.forget_idle(self.now()));
    }

    /// Microseconds, as the table counts them.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.usage.clock.instant().saturating_duration_since(self.usage.began).as_micros()).unwrap_or(u64::MAX)
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
            alone: self.shared().map(Shared::alone),
        }
    }
}
