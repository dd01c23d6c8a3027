//! One limit at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use larder_limits::{Algorithm, CLIENT_BYTES, Client, Rate, Standing, Table};
use larder_redis::{LimitGrant, RedisStore};
use larder_tower::clock::Clock;

use super::owing::{Debtor, Owing};
use super::shared::{Answer, Shared};
use super::together::Together;
use super::warnings::{Warning, Warnings};
use crate::config::{LimitOver, QuotaPart, RateLimit};
use crate::telemetry::snapshot::{LabelledCount, LimitSnapshot};

/// A limit that only observes takes its units however long they would have to be waited for.
const HOWEVER_LONG: u64 = 1 << 52;

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
    counts: Arc<Counts>,
    clock: Clock,
    warnings: Arc<Warnings>,
}

/// What outlives a reload that does not change the rate. For how many clients there is room changes in place.
#[derive(Debug)]
struct Usage {
    table: Table,
    /// Where replicas count together.
    together: Option<Arc<Together>>,
    began: Instant,
}

/// Counts since the start.
#[derive(Debug, Default)]
struct Counts {
    requests: [AtomicU64; LimitOutcome::ALL.len()],
    /// Units that clients were charged for once they were known.
    charged: AtomicU64,
    /// Answers that said nothing of what is counted.
    silent: AtomicU64,
    /// Warnings of clients.
    warned: AtomicU64,
}

/// A client that is charged later.
#[derive(Clone, Debug)]
pub(crate) struct Payer {
    client: Client,
    debtor: Option<Debtor>,
}

/// What limits are made with.
#[derive(Clone, Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) redis: Option<&'a RedisStore>,
    pub(super) clock: &'a Clock,
    pub(super) warnings: &'a Arc<Warnings>,
}

impl RunningLimit {
    /// What `before` has counted goes on by its name, and what its clients have used goes on where key and rate are the same.
    pub(super) fn new(settings: RateLimit, around: &Surroundings<'_>, before: Option<&Self>) -> Self {
        let together = || {
            let redis = around.redis.filter(|_| settings.shared)?.clone();
            Some(Arc::new(match settings.count.is_known_afterwards() {
                true => Together::Owing(Owing::new(redis, settings.max_keys)),
                false => Together::Granted(Shared::new(redis, settings.max_keys)),
            }))
        };
        let table = || Table::new(settings.rate(), settings.max_keys);
        let usage = match before.filter(|before| before.has_same_clients(&settings)) {
            Some(before) if before.settings.rate() == settings.rate() => Arc::clone(&before.usage),
            // Whoever gives a budget more does not begin the month anew.
            Some(before) if settings.quota.is_some() => Arc::new(Usage {
                table: before.table().with_rate(settings.rate(), before.now()),
                together: before.usage.together.clone(),
                began: before.usage.began,
            }),
            _ => Arc::new(Usage { table: table(), together: together(), began: around.clock.instant() }),
        };
        let counts = before.map_or_else(Arc::default, |before| Arc::clone(&before.counts));
        Self { settings, usage, counts, clock: around.clock.clone(), warnings: Arc::clone(around.warnings) }
    }

    /// Whether what clients have used is counted alike.
    fn has_same_clients(&self, now: &RateLimit) -> bool {
        let then = &self.settings;
        let window = |quota: &QuotaPart| (quota.period, quota.zone.clone());
        then.key == now.key
            && then.count == now.count
            && then.shared == now.shared
            && then.quota.as_ref().map(window) == now.quota.as_ref().map(window)
    }

    /// Gives as many clients room as it says. Not before it is in force: what `before` has counted is shared with it until then.
    pub(super) fn take_place(&self) {
        let max_keys = self.settings.max_keys;
        self.table().set_max_keys(max_keys);
        self.together().iter().for_each(|together| together.set_max_keys(max_keys));
    }

    pub(crate) fn table(&self) -> &Table {
        &self.usage.table
    }

    /// What this replica knows of the clients where replicas count together.
    pub(super) fn together(&self) -> Option<&Together> {
        self.usage.together.as_deref()
    }

    /// Takes one unit of a client, by what Redis has answered where it was asked. With `may_wait` one may be taken that is there later.
    pub(super) fn take(&self, key: &str, answer: Option<&Answer>, may_wait: bool) -> Standing {
        let (settings, now, table) = (&self.settings, self.now(), self.table());
        if let Some(Together::Granted(shared)) = self.together() {
            return shared.take(table, key, now, answer, self.max_wait(may_wait));
        }
        let standing = match settings.over {
            LimitOver::Observe => table.charge(key, now, 1),
            _ => table.take_within(key, now, 1, self.max_wait(may_wait)),
        };
        let used = settings.max.saturating_sub(standing.remaining);
        if self.warn_at().is_some_and(|units| used >= units && table.reaches(key, now, units)) {
            self.warn(key, used);
        }
        standing
    }

    /// Microseconds that a unit may be waited for, where a request `may_wait`.
    pub(super) fn max_wait(&self, may_wait: bool) -> u64 {
        match self.settings.over {
            LimitOver::Delay if may_wait => u64::try_from(self.settings.max_delay.as_micros()).unwrap_or(HOWEVER_LONG),
            LimitOver::Observe => HOWEVER_LONG,
            LimitOver::Delay | LimitOver::Reject | LimitOver::Stale => 0,
        }
    }

    /// How a client stands under a limit whose units are known afterwards, by what Redis has answered where it was asked.
    pub(super) fn look(&self, key: &str, answer: Option<&Answer>) -> Standing {
        match self.together() {
            Some(Together::Owing(owing)) => owing.look(self.table(), key, self.now(), answer),
            _ => self.table().look(key, self.now(), 1),
        }
    }

    /// A client, to be charged once it is known for how much.
    pub(super) fn payer(&self, key: &str) -> Payer {
        let debtor = match self.together() {
            Some(Together::Owing(owing)) => Some(owing.debtor(key)),
            _ => None,
        };
        Payer { client: self.table().client(key), debtor }
    }

    /// Charges a client for what is known now.
    pub(super) fn charge(&self, payer: &Payer, units: u64) {
        self.counts.charged.fetch_add(units, Ordering::Relaxed);
        let (table, now) = (self.table(), self.now());
        if let (Some(Together::Owing(owing)), Some(debtor)) = (self.together(), &payer.debtor) {
            return owing.charge(table, (&payer.client, debtor), now, units);
        }
        let standing = table.charge_client(&payer.client, now, units);
        let used = self.settings.max.saturating_sub(standing.remaining);
        if self.warn_at().is_some_and(|share| used >= share && table.client_reaches(&payer.client, now, share))
            && let Some(key) = table.key_of(&payer.client)
        {
            self.warn(&key, table.used(&key, now).unwrap_or(used));
        }
    }

    /// An answer of a model came without what is counted.
    pub(super) fn count_silent(&self) {
        self.counts.silent.fetch_add(1, Ordering::Relaxed);
    }

    /// Units at which people are warned.
    pub(super) fn warn_at(&self) -> Option<u64> {
        self.settings.quota.as_ref().and_then(|quota| quota.warn_at)
    }

    /// People are to be told that a client has used so much.
    pub(super) fn warn(&self, key: &str, used: u64) {
        let Some(quota) = &self.settings.quota else { return };
        self.counts.warned.fetch_add(1, Ordering::Relaxed);
        let ends_at = self.window_end().unwrap_or_default();
        self.warnings.push(Warning {
            quota: Arc::clone(&quota.quota),
            limit: Arc::clone(&self.settings.name),
            count: self.settings.count,
            key: key.to_owned(),
            used,
            max: self.settings.max,
            ends_at,
        });
    }

    /// Keeps units of a client that Redis has granted to a request which did not take them.
    pub(super) fn keep(&self, key: &str, grant: &LimitGrant) {
        if let Some(Together::Granted(shared)) = self.together() {
            shared.keep(self.table(), key, self.now(), grant);
        }
    }

    /// Gives back the unit that was taken last.
    pub(super) fn give_back(&self, key: &str) {
        match self.together() {
            Some(Together::Granted(shared)) => shared.give_back(self.table(), key, self.now()),
            _ => self.table().give_back(key, 1),
        }
    }

    /// Bytes that its clients take. Where replicas count together, what they know of each other takes as much again.
    pub(super) fn bytes(&self) -> u64 {
        let tables = if self.together().is_some() { 2 } else { 1 };
        self.table().len() as u64 * CLIENT_BYTES * tables + self.together().map_or(0, Together::bytes)
    }

    /// Forgets clients that stand as new ones do.
    pub(super) fn forget_idle(&self) {
        self.table().forget_idle(self.now());
        self.together().iter().for_each(|together| together.forget_idle(self.now()));
    }

    /// Microseconds, as the table counts them: since 1970 for a window of the calendar, which is the running one from here on.
    pub(crate) fn now(&self) -> u64 {
        let Some(quota) = &self.settings.quota else {
            return u64::try_from(self.clock.instant().saturating_duration_since(self.usage.began).as_micros()).unwrap_or(u64::MAX);
        };
        let now = self.clock.now().as_millis().saturating_mul(1000);
        if let Rate { algorithm: Algorithm::Calendar { begins }, per, .. } = self.table().rate()
            && !(begins..begins.saturating_add(per)).contains(&now)
        {
            let window = quota.period.window(&quota.zone, now / 1_000_000);
            self.table().turn(window.begins, window.length);
        }
        now
    }

    /// When the running window of the calendar ends, in seconds since 1970; `None`: it is none of the calendar.
    pub(super) fn window_end(&self) -> Option<u64> {
        self.now();
        match self.table().rate() {
            Rate { algorithm: Algorithm::Calendar { begins }, per, .. } => Some(begins.saturating_add(per) / 1_000_000),
            _ => None,
        }
    }

    pub(crate) fn count(&self, outcome: LimitOutcome) {
        self.counts.requests[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> LimitSnapshot {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let count =
            |(label, outcome): (&'static str, LimitOutcome)| LabelledCount { label, count: load(&self.counts.requests[outcome as usize]) };
        let (quota, count_of) = (self.settings.quota.as_ref(), self.settings.count);
        LimitSnapshot {
            limit: self.settings.name.to_string(),
            requests: LimitOutcome::ALL.into_iter().map(count).collect(),
            keys: self.table().len() as u64,
            alone: self.together().map(Together::alone),
            charged: count_of.is_known_afterwards().then(|| count_of.as_people_count(load(&self.counts.charged))),
            silent: count_of.is_of_models().then(|| load(&self.counts.silent)),
            warnings: quota.map(|_| load(&self.counts.warned)),
        }
    }
}
