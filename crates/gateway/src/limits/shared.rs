//! Limits that replicas share through Redis.
//!
//! A replica decides by units that Redis has granted it, one at a time or `batch` at once, so that no two replicas give away the same unit. What
//! is granted and not used is lost to the others until it is there again: beyond `max`, a client gets `batch` for each replica at most, where those were
//! kept over the end of a window. While Redis does not answer, each replica goes on with its share of what it knows to be left, by its own count, and
//! tells Redis of the units with the next question that is answered.

use std::sync::atomic::{AtomicU64, Ordering};

use larder_limits::{Algorithm, Keyed, Rate, Standing, Table};
use larder_redis::{LimitAsk, LimitGrant, RedisStore};

use super::RunningLimit;
use super::owed::Owed;

/// A client that has nothing left is not asked about again for so many microseconds at most: what was given back meanwhile counts then.
const REMEMBERED: u64 = 1_000_000;

/// What this replica knows of the clients of one shared limit.
#[derive(Debug)]
pub(super) struct Shared {
    redis: RedisStore,
    clients: Keyed<Client>,
    /// Requests that were decided about without Redis.
    alone: AtomicU64,
}

#[derive(Debug, Default)]
struct Client {
    /// Units that were granted and are not used yet, and until when they may be.
    reserve: u64,
    reserve_until: u64,
    /// Units that were used without Redis, and that no question tells it of yet.
    owed: Owed,
    /// Questions under way that tell Redis of such units.
    telling: usize,
    /// Where nothing was left: until when that is remembered, and how the client stood.
    denied: Option<(u64, Standing)>,
    /// What was left, and in how many microseconds from when all is there again.
    left: (u64, u64, u64),
}

/// What Redis has said about one client; `None`: it has not answered.
pub(super) type Answer = Option<LimitGrant>;

/// Units that one question tells Redis of. They are owed again where that is not known to have been answered.
#[derive(Debug)]
pub(super) struct Telling {
    client: larder_limits::Shared<Client>,
    owed: Owed,
}

impl Shared {
    pub(super) fn new(redis: RedisStore, max_keys: usize) -> Self {
        Self { redis, clients: Keyed::new(max_keys), alone: AtomicU64::new(0) }
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

    /// Whether a request can be decided about without asking.
    pub(super) fn is_ready(&self, key: &str, now: u64) -> bool {
        self.clients.peek(key).is_some_and(|client| {
            let client = client.lock();
            client.has_reserve(now) || client.denied(now).is_some()
        })
    }

    /// The question for Redis about one request. It alone tells of what the client owes.
    pub(super) fn ask<'a>(&self, limit: &'a RunningLimit, key: &'a str) -> (LimitAsk<'a>, Telling) {
        let (settings, table) = (&limit.settings, limit.table());
        let used = table.used(key, limit.now()).unwrap_or_default();
        let client = self.clients.get(key);
        let owed = client.lock().tell(used);
        let (rate, told_at, max_wait) = (table.rate(), limit.warn_at().unwrap_or_default(), limit.max_wait(true));
        let ask =
            LimitAsk { limit: &settings.name, client: key, rate, least: 1, most: settings.batch, owed: owed.units, max_wait, told_at };
        (ask, Telling { client, owed })
    }

    /// Decides about one request: by an `answer` that it has waited for, by what is reserved or remembered, and otherwise alone. A unit that is there in
    /// `max_wait` microseconds may be taken.
    pub(super) fn take(&self, table: &Table, key: &str, now: u64, answer: Option<&Answer>, max_wait: u64) -> Standing {
        let client = self.clients.get(key);
        let mut client = client.lock();
        let standing = match answer {
            Some(Some(grant)) if grant.granted > 0 || !client.has_reserve(now) => client.granted(table, now, grant),
            // Units that others of its requests have brought meanwhile are the client's as well.
            _ if client.has_reserve(now) => {
                client.reserve -= 1;
                client.standing(now)
            }
            None if let Some(denied) = client.denied(now) => denied,
            _ => return self.take_alone(table, (key, &mut client), now, max_wait),
        };
        if standing.allowed {
            table.charge(key, now, 1);
        }
        standing
    }

    /// Keeps units for later that were granted to a request which did not take them.
    pub(super) fn keep(&self, table: &Table, key: &str, now: u64, grant: &LimitGrant) {
        if grant.granted > 0 {
            let client = self.clients.get(key);
            let mut client = client.lock();
            client.granted(table, now, grant);
            client.reserve += 1;
        }
    }

    /// A unit that was taken is not used.
    pub(super) fn give_back(&self, table: &Table, key: &str, now: u64) {
        let client = self.clients.get(key);
        let mut client = client.lock();
        // One that Redis does not know of needs no reserve.
        let cost = client.owed.pop().unwrap_or_else(|| {
            client.reserve = if client.has_reserve(now) { client.reserve + 1 } else { 1 };
            client.reserve_until = client.reserve_until.max(now.saturating_add(table.rate().per));
            1
        });
        table.give_back(key, cost);
    }

    /// Forgets clients of which nothing needs to be known.
    pub(super) fn forget_idle(&self, now: u64) {
        self.clients.retain(|client| client.owes() || client.has_reserve(now) || client.denied(now).is_some());
    }

    /// Forgets a client.
    pub(super) fn forget(&self, key: &str) {
        self.clients.remove(key);
    }

    fn take_alone(&self, table: &Table, (key, client): (&str, &mut Client), now: u64, max_wait: u64) -> Standing {
        self.alone.fetch_add(1, Ordering::Relaxed);
        let replicas = u64::try_from(self.redis.replicas().len()).unwrap_or(1);
        client.take_alone(table, key, now, (replicas, max_wait))
    }
}

impl Telling {
    /// Redis has taken the units into account.
    pub(super) fn settled(mut self) {
        self.owed = Owed::default();
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let mut client = self.client.lock();
        client.owed.add(self.owed);
        client.telling -= 1;
    }
}

/// Whether it is before `until`, which was `longest` ahead at most when it was set: a clock that was set back since makes nothing hold for longer.
pub(super) fn within(until: u64, now: u64, longest: u64) -> bool {
    now < until && until - now <= longest
}

impl Client {
    /// What is owed, and still counts where so much is used: a question tells Redis of it from here on.
    fn tell(&mut self, used: u64) -> Owed {
        self.telling += 1;
        std::mem::take(&mut self.owed).still(used)
    }

    fn owes(&self) -> bool {
        self.telling > 0 || !self.owed.is_none()
    }

    /// Each of so many replicas has its share of what is left: a unit here costs as many as there are.
    fn take_alone(&mut self, table: &Table, key: &str, now: u64, (replicas, max_wait): (u64, u64)) -> Standing {
        let cost = replicas.clamp(1, table.rate().capacity());
        let standing = table.take_within(key, now, cost, max_wait);
        if standing.allowed {
            self.owed.add(Owed::new(1, cost));
        }
        Standing { remaining: standing.remaining / cost, ..standing }
    }

    fn has_reserve(&self, now: u64) -> bool {
        self.reserve > 0 && now < self.reserve_until
    }

    /// How the client stood when nothing was left, where that is remembered.
    fn denied(&self, now: u64) -> Option<Standing> {
        let (until, standing) = self.denied.filter(|(until, _)| within(*until, now, REMEMBERED))?;
        let passed = REMEMBERED.min(standing.retry_after).saturating_sub(until - now);
        let (reset, retry_after) = (standing.reset.saturating_sub(passed), standing.retry_after.saturating_sub(passed));
        Some(Standing { reset, retry_after, ..standing })
    }

    fn standing(&self, now: u64) -> Standing {
        let (remaining, reset, since) = self.left;
        Standing { allowed: true, remaining: remaining + self.reserve, reset: reset.saturating_sub(now - since.min(now)), retry_after: 0 }
    }

    fn granted(&mut self, table: &Table, now: u64, grant: &LimitGrant) -> Standing {
        let LimitGrant { granted, remaining, reset, retry_after, .. } = *grant;
        self.left = (remaining, reset, now);
        if granted == 0 {
            let standing = Standing { allowed: false, remaining, reset, retry_after };
            self.denied = Some((now.saturating_add(retry_after.min(REMEMBERED)), standing));
            return standing;
        }
        let rate = table.rate();
        // What is left of a window may not be used in the next one.
        let until = match rate {
            Rate { algorithm: Algorithm::FixedWindow | Algorithm::Calendar { .. }, .. } => now.saturating_add(reset),
            Rate { per, .. } => now.saturating_add(per),
        };
        self.reserve = granted - 1 + if self.has_reserve(now) { self.reserve } else { 0 };
        (self.reserve_until, self.denied) = (until, None);
        Standing { retry_after, ..self.standing(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn table(algorithm: Algorithm) -> Table {
        Table::new(Rate { algorithm, max: 10, per: SECOND, burst: 10 }, 100)
    }

    fn used(table: &Table, now: u64) -> u64 {
        table.used("a", now).unwrap_or_default()
    }

    #[test]
    fn a_client_that_kept_to_its_limit_without_redis_owes_no_more_than_its_share_however_long_that_was() {
        let (table, mut client) = (table(Algorithm::TokenBucket), Client::default());
        let admitted = (0..6000).filter(|turn| client.take_alone(&table, "a", turn * SECOND / 10, (2, 0)).allowed).count();
        assert_eq!(admitted, 5 + 5999 / 2, "half of the rate, and half of the burst");
        assert_eq!(used(&table, 600 * SECOND), 8);
        assert_eq!(client.tell(used(&table, 600 * SECOND)).units, 4);
    }

    #[test]
    fn units_of_a_window_that_has_ended_are_not_owed_in_the_next() {
        let (table, mut client) = (table(Algorithm::Calendar { begins: 0 }), Client::default());
        table.turn(SECOND, SECOND);
        (0..4).for_each(|_| assert!(client.take_alone(&table, "a", SECOND, (2, 0)).allowed));
        table.turn(2 * SECOND, SECOND);
        assert!(client.take_alone(&table, "a", 2 * SECOND, (2, 0)).allowed);
        assert_eq!(client.tell(used(&table, 2 * SECOND)).units, 1);
    }

    #[test]
    fn a_unit_without_redis_may_be_waited_for() {
        let (table, mut client) = (table(Algorithm::TokenBucket), Client::default());
        (0..5).for_each(|_| assert!(client.take_alone(&table, "a", 0, (2, 0)).allowed));
        assert!(!client.take_alone(&table, "a", 0, (2, SECOND / 10)).allowed);
        let standing = client.take_alone(&table, "a", 0, (2, SECOND / 5));
        assert_eq!((standing.allowed, standing.retry_after), (true, SECOND / 5));
    }
}
