//! Limits that replicas share through Redis, and whose units are known only when a request has been answered: bytes, tokens, cost.
//!
//! 1. [`Owing::look`]: the table has what all replicas together know, which Redis is asked for when that is older than a second.
//! 2. [`Owing::charge`]: what an answer has had counts here at once, and is owed to Redis.
//! 3. [`settle`], a few times a second: Redis is told of what is owed, in one question for many clients.
//!
//! So beyond `max` a client gets what its requests under way cost, and what it asks of other replicas within that second. While Redis does not answer, a
//! replica counts each unit as often as there are replicas, which leaves it its share, and owes the units until Redis is back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder_limits::{Algorithm, Client, Keyed, Shared, Standing, Table};
use larder_redis::{LimitAsk, LimitGrant, RedisStore};

use super::RunningLimit;
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
    /// Those that owe something.
    unsettled: Mutex<Vec<Debtor>>,
    alone: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Debt {
    key: Option<Box<str>>,
    /// Units that Redis does not know of yet.
    owed: u64,
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
        let is_first = debt.owed == 0;
        debt.owed = debt.owed.saturating_add(units);
        drop(debt);
        if is_first && units > 0 {
            self.unsettled().push(debtor.clone());
        }
    }

    /// Forgets clients that are not known well, and owe nothing.
    pub(super) fn forget_idle(&self, now: u64) {
        self.clients.retain(|debt| debt.owed > 0 || debt.is_fresh(now));
    }

    /// Forgets a client, and what it owes.
    pub(super) fn forget(&self, key: &str) {
        if let Some(debt) = self.clients.peek(key) {
            debt.lock().owed = 0;
        }
        self.clients.remove(key);
    }

    /// Takes over what all replicas know of a client. What it owes is not in it yet.
    fn learn(&self, table: &Table, key: &str, now: u64, grant: &LimitGrant) {
        let debtor = self.clients.get(key);
        let mut debt = debtor.lock();
        (debt.fresh_until, debt.is_alone) = (now.saturating_add(FRESH), false);
        table.learn(key, now, grant.used.saturating_add(debt.owed), grant.reset);
    }

    /// From now on a client has this replica's share: what it owes already counts by that as well, since no other replica knows of it.
    fn goes_alone(&self, table: &Table, key: &str, debt: &mut Debt, now: u64) {
        if !std::mem::replace(&mut debt.is_alone, true) {
            table.charge(key, now, debt.owed.saturating_mul(self.replicas() - 1));
        }
    }

    /// Redis did not take what a client owes.
    fn owe_again(&self, table: &Table, key: &str, (debtor, units): (&Debtor, u64), now: u64) {
        let mut debt = debtor.lock();
        // One that owes again already waits to be settled.
        let waits = debt.owed > 0;
        debt.owed = debt.owed.saturating_add(units);
        self.goes_alone(table, key, &mut debt, now);
        drop(debt);
        if !waits {
            self.unsettled().push(debtor.clone());
        }
    }

    fn replicas(&self) -> u64 {
        u64::try_from(self.redis.replicas().len()).unwrap_or(1).max(1)
    }

    fn unsettled(&self) -> MutexGuard<'_, Vec<Debtor>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debt {
    fn is_fresh(&self, now: u64) -> bool {
        within(self.fresh_until, now, FRESH)
    }

    fn turn(&mut self, window: u64) {
        if std::mem::replace(&mut self.window, window) != window {
            self.owed = 0;
        }
    }

    fn take(&mut self, window: u64) -> Option<(Box<str>, u64)> {
        self.turn(window);
        let owed = std::mem::take(&mut self.owed);
        self.key.clone().filter(|_| owed > 0).map(|key| (key, owed))
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
        let owed: Vec<(Debtor, Box<str>, u64)> = debtors
            .into_iter()
            .filter_map(|debtor| {
                let (key, owed) = debtor.lock().take(window_of(limit.table()))?;
                Some((debtor, key, owed))
            })
            .collect();
        let asks: Vec<_> = owed.iter().map(|(_, key, owed)| Owing::ask(limit, key, *owed)).collect();
        let answers = owing.redis.limit(&asks).await;
        let is_away = answers.is_err();
        let grants = answers.unwrap_or_default();
        for (place, (debtor, key, units)) in owed.iter().enumerate() {
            match grants.get(place) {
                Some(grant) => {
                    owing.learn(limit.table(), key, now, grant);
                    if grant.is_reached {
                        limit.warn(key, grant.used);
                    }
                }
                None => owing.owe_again(limit.table(), key, (debtor, *units), now),
            }
        }
        if is_away {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_of_a_window_that_has_ended_is_no_more() {
        let mut debt = Debt { key: Some("a".into()), owed: 5, window: 1, ..Debt::default() };
        assert_eq!(debt.take(1), Some(("a".into(), 5)));
        debt.owed = 7;
        assert_eq!((debt.take(2), debt.owed), (None, 0));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_known_for_longer() {
        let debt = Debt { fresh_until: 10 * FRESH, ..Debt::default() };
        assert!(debt.is_fresh(10 * FRESH - 1) && debt.is_fresh(9 * FRESH) && !debt.is_fresh(10 * FRESH) && !debt.is_fresh(FRESH));
    }
}
