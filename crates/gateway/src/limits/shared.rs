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
use crate::config::LimitOver;

/// A client that has nothing left is not asked about again for so many microseconds at most: what was given back meanwhile counts then.
const REMEMBERED: u64 = 1_000_000;

/// A limit that only observes takes its units however long they would have to be waited for.
const HOWEVER_LONG: u64 = 1 << 52;

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
    /// Units that were used without Redis, and that it does not know of.
    owed: u64,
    /// Where nothing was left: until when that is remembered, and how the client stood.
    denied: Option<(u64, Standing)>,
    /// What was left, and in how many microseconds from when all is there again.
    left: (u64, u64, u64),
}

/// What Redis has said about one client; `None`: it has not answered.
pub(super) type Answer = Option<LimitGrant>;

impl Shared {
    pub(super) fn new(redis: RedisStore, max_keys: usize) -> Self {
        Self { redis, clients: Keyed::new(max_keys), alone: AtomicU64::new(0) }
    }

    pub(super) fn redis(&self) -> &RedisStore {
        &self.redis
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

    /// The question for Redis about one request.
    pub(super) fn ask<'a>(&self, limit: &'a RunningLimit, key: &'a str) -> LimitAsk<'a> {
        let settings = &limit.settings;
        let max_wait = match settings.over {
            LimitOver::Delay => u64::try_from(settings.max_delay.as_micros()).unwrap_or(HOWEVER_LONG),
            LimitOver::Observe => HOWEVER_LONG,
            LimitOver::Reject | LimitOver::Stale => 0,
        };
        let owed = self.clients.get(key).lock().owed;
        let (rate, told_at) = (limit.table().rate(), limit.warn_at().unwrap_or_default());
        LimitAsk { limit: &settings.name, client: key, rate, least: 1, most: settings.batch, owed, max_wait, told_at }
    }

    /// Redis has taken what was owed into account.
    pub(super) fn settled(&self, ask: &LimitAsk<'_>) {
        if ask.owed > 0 {
            let client = self.clients.get(ask.client);
            let mut client = client.lock();
            client.owed = client.owed.saturating_sub(ask.owed);
        }
    }

    /// Decides about one request: by an `answer` that it has waited for, by what is reserved or remembered, and otherwise alone.
    pub(super) fn take(&self, table: &Table, key: &str, now: u64, answer: Option<&Answer>) -> Standing {
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
            _ => return self.take_alone(table, key, now, &mut client),
        };
        if standing.allowed {
            table.charge(key, now, 1);
        }
        standing
    }

    /// A unit that was taken is not used.
    pub(super) fn give_back(&self, table: &Table, key: &str, now: u64) {
        table.give_back(key, 1);
        let client = self.clients.get(key);
        let mut client = client.lock();
        // One that Redis does not know of needs no reserve.
        if client.owed > 0 {
            client.owed -= 1;
        } else {
            client.reserve = if client.has_reserve(now) { client.reserve + 1 } else { 1 };
            client.reserve_until = client.reserve_until.max(now.saturating_add(table.rate().per));
        }
    }

    /// Forgets clients of which nothing needs to be known.
    pub(super) fn forget_idle(&self, now: u64) {
        self.clients.retain(|client| client.owed > 0 || client.has_reserve(now) || client.denied(now).is_some());
    }

    /// Forgets a client.
    pub(super) fn forget(&self, key: &str) {
        self.clients.remove(key);
    }

    /// Each of so many replicas has its share of what is left: a unit here costs as many as there are.
    fn take_alone(&self, table: &Table, key: &str, now: u64, client: &mut Client) -> Standing {
        self.alone.fetch_add(1, Ordering::Relaxed);
        let replicas = u64::try_from(self.redis.replicas().len()).unwrap_or(1).clamp(1, table.rate().capacity());
        let standing = table.take(key, now, replicas);
        if standing.allowed {
            client.owed += 1;
        }
        Standing { remaining: standing.remaining / replicas, ..standing }
    }
}

/// Whether it is before `until`, which was `longest` ahead at most when it was set: a clock that was set back since makes nothing hold for longer.
pub(super) fn within(until: u64, now: u64, longest: u64) -> bool {
    now < until && until - now <= longest
}

impl Client {
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
