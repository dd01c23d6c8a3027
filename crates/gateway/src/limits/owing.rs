//! Limits that replicas share through Redis, and whose units are known only when a request has been answered: bytes, tokens, cost.
//!
//! 1. [`Owing::look`]: the table has what all replicas together know, which Redis is asked for when that is older than a second.
//! 2. [`Owing::charge`]: what an answer has had counts here at once, and is owed to Redis.
//! 3. [`settle`], a few times a second: Redis is told of what is owed, in one question for many clients.
//!
//! So beyond `max` a client gets what its requests under way cost, and what it asks of other replicas within that second. While Redis does not answer, a
//! replica counts each unit as often as there are replicas, which leaves it its share, and owes the units until Redis is back.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder_limits::{Algorithm, CLIENT_BYTES, Client, Keyed, Shared, Standing, Table};
use larder_redis::{LimitAsk, LimitGrant, RedisStore};

use super::RunningLimit;
use super::owed::Owed;
use super::shared::{Answer, within};
use super::together::Together;

/// Microseconds for which an answer of Redis about a client holds.
const FRESH: u64 = 1_000_000;

/// Clients that one question tells Redis of: it answers nobody else meanwhile.
const MOST: usize = 128;

/// What is known of a client and owed to Redis.
pub(super) type Debtor = Shared<Debt>;

/// The clients of one limit.
#[derive(Debug)]
pub(super) struct Owing {
    redis: RedisStore,
    clients: Keyed<Debt>,
    /// Those that owe something, the ones that have waited longest first. As many as there are clients at most: what others owe is forgotten, as that
    /// of a client is which had to go.
    unsettled: Mutex<VecDeque<Debtor>>,
    alone: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Debt {
    key: Option<Box<str>>,
    /// Units that Redis does not know of yet.
    owed: Owed,
    /// When the window of the calendar began that they are of: with its end they are forgotten.
    window: u64,
    /// Until when the table has what Redis knows.
    fresh_until: u64,
    /// Whether Redis did not answer when it was asked last.
    is_alone: bool,
}

impl Owing {
    pub(super) fn new(redis: RedisStore, max_keys: usize) -> Self {
        Self { redis, clients: Keyed::new(max_keys), unsettled: Mutex::default(), alone: AtomicU64::new(0) }
    }

    pub(super) fn redis(&self) -> &RedisStore {
        &self.redis
    }

    pub(super) fn set_max_keys(&self, max_keys: usize) {
        self.clients.set_max(max_keys);
    }

    pub(super) fn alone(&self) -> u64 {
        self.alone.load(Ordering::Relaxed)
    }

    /// Whether a client is known well enough.
    pub(super) fn is_ready(&self, key: &str, now: u64) -> bool {
        self.clients.peek(key).is_some_and(|debt| debt.lock().is_fresh(now))
    }

    /// The question how a client stands, with the units that it owes.
    pub(super) fn ask<'a>(limit: &'a RunningLimit, key: &'a str, owed: u64) -> LimitAsk<'a> {
        let (rate, told_at) = (limit.table().rate(), limit.warn_at().unwrap_or_default());
        LimitAsk { limit: &limit.settings.name, client: key, rate, least: 0, most: 0, owed, max_wait: 0, told_at }
    }

    /// How a client stands, by an `answer` that its request has waited for, or by what is known.
    pub(super) fn look(&self, table: &Table, key: &str, now: u64, answer: Option<&Answer>) -> Standing {
        match answer {
            Some(Some(grant)) => self.learn(table, key, now, grant),
            Some(None) => {
                self.alone.fetch_add(1, Ordering::Relaxed);
                self.goes_alone(table, key, &mut self.clients.get(key).lock(), now);
            }
            None => {}
        }
        table.look(key, now, 1)
    }

    /// A client, to be charged later.
    pub(super) fn debtor(&self, key: &str) -> Debtor {
        let debtor = self.clients.get(key);
        debtor.lock().key.get_or_insert_with(|| key.into());
        debtor
    }

    /// Charges a client.
    pub(super) fn charge(&self, table: &Table, (client, debtor): (&Client, &Debtor), now: u64, units: u64) {
        let mut debt = debtor.lock();
        debt.turn(window_of(table));
        let weight = if debt.is_alone { self.replicas() } else { 1 };
        table.charge_client(client, now, units.saturating_mul(weight));
        self.owe(debtor, &mut debt, Owed::new(units, weight));
    }

    /// Forgets clients that are not known well, and owe nothing.
    pub(super) fn forget_idle(&self, now: u64) {
        self.clients.retain(|debt| !debt.owed.is_none() || debt.is_fresh(now));
    }

    /// Forgets a client, and what it owes.
    pub(super) fn forget(&self, key: &str) {
        if let Some(debt) = self.clients.peek(key) {
            debt.lock().owed = Owed::default();
        }
        self.clients.remove(key);
    }

    /// Takes over what all replicas know of a client. What it owes is not in it yet.
    fn learn(&self, table: &Table, key: &str, now: u64, grant: &LimitGrant) {
        let debtor = self.clients.get(key);
        let mut debt = debtor.lock();
        debt.turn(window_of(table));
        (debt.fresh_until, debt.is_alone) = (now.saturating_add(FRESH), false);
        table.learn(key, now, grant.used, grant.reset);
        table.charge(key, now, debt.owed.units);
        debt.owed = Owed::new(debt.owed.units, 1);
    }

    /// From now on a client has this replica's share: what it owes already counts by that as well, since no other replica knows of it.
    fn goes_alone(&self, table: &Table, key: &str, debt: &mut Debt, now: u64) {
        debt.turn(window_of(table));
        if !std::mem::replace(&mut debt.is_alone, true) {
            let (units, weight) = (debt.owed.units, self.replicas());
            table.charge(key, now, units.saturating_mul(weight - 1));
            debt.owed = Owed::new(units, weight);
        }
    }

    /// Redis did not take what a client owes.
    fn owe_again(&self, table: &Table, key: &str, (debtor, owed): (&Debtor, Owed), now: u64) {
        let mut debt = debtor.lock();
        self.owe(debtor, &mut debt, owed);
        self.goes_alone(table, key, &mut debt, now);
    }

    /// A client owes more.
    fn owe(&self, debtor: &Debtor, debt: &mut Debt, more: Owed) {
        // One that owes something already waits to be settled.
        let waits = !debt.owed.is_none();
        debt.owed.add(more);
        if waits || debt.owed.is_none() {
            return;
        }
        let mut unsettled = self.unsettled();
        if unsettled.len() < self.clients.max() {
            unsettled.push_back(debtor.clone());
        } else {
            debt.owed = Owed::default();
        }
    }

    /// Bytes of the clients that owe something.
    pub(super) fn unsettled_bytes(&self) -> u64 {
        self.unsettled().len() as u64 * CLIENT_BYTES
    }

    fn replicas(&self) -> u64 {
        u64::try_from(self.redis.replicas().len()).unwrap_or(1).max(1)
    }

    fn unsettled(&self) -> MutexGuard<'_, VecDeque<Debtor>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debt {
    fn is_fresh(&self, now: u64) -> bool {
        within(self.fresh_until, now, FRESH)
    }

    fn turn(&mut self, window: u64) {
        if std::mem::replace(&mut self.window, window) != window {
            self.owed = Owed::default();
        }
    }

    /// Takes what is owed and still counts, to tell Redis of it.
    fn take(&mut self, table: &Table, now: u64) -> Option<(Box<str>, Owed)> {
        self.turn(window_of(table));
        let key = self.key.clone()?;
        // Of a client that the table had to forget, nobody knows what counts no more.
        let used = table.used(&key, now).unwrap_or(u64::MAX);
        let owed = std::mem::take(&mut self.owed).still(used);
        (!owed.is_none()).then_some((key, owed))
    }
}

/// When the window of the calendar began; the same at any time for other algorithms.
fn window_of(table: &Table) -> u64 {
    match table.rate().algorithm {
        Algorithm::Calendar { begins } => begins,
        _ => 0,
    }
}

/// Tells Redis of what clients owe, so many at once. What it does not answer stays owed.
pub(super) async fn settle(limit: &RunningLimit) {
    let Some(Together::Owing(owing)) = limit.together() else { return };
    loop {
        let debtors: Vec<Debtor> = {
            let mut all = owing.unsettled();
            let count = all.len().min(MOST);
            all.drain(..count).collect()
        };
        if debtors.is_empty() {
            return;
        }
        let now = limit.now();
        let owed: Vec<(Debtor, Box<str>, Owed)> = debtors
            .into_iter()
            .filter_map(|debtor| {
                let (key, owed) = debtor.lock().take(limit.table(), now)?;
                Some((debtor, key, owed))
            })
            .collect();
        if owed.is_empty() {
            continue;
        }
        let asks: Vec<_> = owed.iter().map(|(_, key, owed)| Owing::ask(limit, key, owed.units)).collect();
        let answers = owing.redis.limit(&asks).await;
        let is_away = answers.is_err();
        let grants = answers.unwrap_or_default();
        for (place, (debtor, key, owed)) in owed.iter().enumerate() {
            match grants.get(place) {
                Some(grant) => {
                    owing.learn(limit.table(), key, now, grant);
                    if grant.is_reached {
                        limit.warn(key, grant.used);
                    }
                }
                None => owing.owe_again(limit.table(), key, (debtor, *owed), now),
            }
        }
        if is_away {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use larder_limits::Rate;

    use super::super::tests::absent_redis;
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn table(algorithm: Algorithm) -> Table {
        Table::new(Rate { algorithm, max: 10, per: SECOND, burst: 10 }, 100)
    }

    fn charge(owing: &Owing, table: &Table, key: &str, now: u64, units: u64) -> Debtor {
        let debtor = owing.debtor(key);
        owing.charge(table, (&table.client(key), &debtor), now, units);
        debtor
    }

    fn taken(debtor: &Debtor, table: &Table, now: u64) -> u64 {
        debtor.lock().take(table, now).map_or(0, |(_, owed)| owed.units)
    }

    #[tokio::test]
    async fn what_is_owed_of_a_window_that_has_ended_is_no_more() {
        let (owing, table) = (Owing::new(absent_redis(), 100), table(Algorithm::Calendar { begins: 0 }));
        table.turn(SECOND, SECOND);
        let debtor = charge(&owing, &table, "a", SECOND, 5);
        assert_eq!(taken(&debtor, &table, SECOND), 5);
        charge(&owing, &table, "a", SECOND, 7);
        table.turn(2 * SECOND, SECOND);
        assert_eq!((taken(&debtor, &table, 2 * SECOND), debtor.lock().owed.is_none()), (0, true));
    }

    #[tokio::test]
    async fn what_time_has_given_back_while_redis_was_away_is_owed_no_more() {
        let (owing, table) = (Owing::new(absent_redis(), 100), table(Algorithm::TokenBucket));
        owing.look(&table, "a", 0, Some(&None));
        let debtors: Vec<_> = (0..600).map(|second| charge(&owing, &table, "a", second * SECOND, 10)).collect();
        assert_eq!(taken(&debtors[0], &table, 599 * SECOND), 10);
    }

    #[tokio::test]
    async fn what_redis_says_does_not_hide_what_it_is_not_told_of_yet() {
        for algorithm in [Algorithm::TokenBucket, Algorithm::FixedWindow, Algorithm::SlidingWindow] {
            let (owing, table) = (Owing::new(absent_redis(), 100), table(algorithm));
            charge(&owing, &table, "a", SECOND, 4);
            let nothing = LimitGrant { granted: 0, remaining: 10, reset: 0, retry_after: 0, used: 0, is_reached: false };
            assert_eq!(owing.look(&table, "a", SECOND, Some(&Some(nothing))).remaining, 6, "{algorithm:?}");
        }
    }

    #[tokio::test]
    async fn clients_that_owe_are_as_many_as_there_are_keys_at_most_and_counted() {
        let (owing, table) = (Owing::new(absent_redis(), 3), table(Algorithm::TokenBucket));
        let debtors: Vec<_> = (0..10).map(|n| charge(&owing, &table, &n.to_string(), 0, 5)).collect();
        assert_eq!(debtors.iter().filter(|debtor| !debtor.lock().owed.is_none()).count(), 3);
        assert_eq!(owing.unsettled_bytes(), 3 * CLIENT_BYTES);
        // Once there is room again, a client owes again.
        owing.unsettled().clear();
        charge(&owing, &table, "9", 0, 1);
        assert_eq!(owing.unsettled().len(), 1);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_known_for_longer() {
        let debt = Debt { fresh_until: 10 * FRESH, ..Debt::default() };
        assert!(debt.is_fresh(10 * FRESH - 1) && debt.is_fresh(9 * FRESH) && !debt.is_fresh(10 * FRESH) && !debt.is_fresh(FRESH));
    }
}
