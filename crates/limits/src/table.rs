//! The usage of each client.

use crate::keyed::{Keyed, Shared};
use crate::rate::{Rate, Standing, Usage};

/// One client of a table.
#[derive(Clone, Debug)]
pub struct Client(Shared<Usage>);

/// The usage of each client by its key, for a bounded number of clients. Where more come, those go that are used least: they begin anew when
/// they come back, so a flood of clients costs memory to a bound and gives each of them no more than a new client gets.
#[derive(Debug)]
pub struct Table {
    rate: Rate,
    clients: Keyed<Usage>,
}

impl Table {
    /// A table of at most `max_keys` clients.
    pub fn new(rate: Rate, max_keys: usize) -> Self {
        Self { rate, clients: Keyed::new(max_keys) }
    }

    /// The rate.
    pub fn rate(&self) -> &Rate {
        &self.rate
    }

    /// As [`Rate::take`].
    pub fn take(&self, key: &str, now: u64, units: u64) -> Standing {
        self.rate.take(&mut self.clients.get(key).lock(), now, units)
    }

    /// As [`Rate::take_within`].
    pub fn take_within(&self, key: &str, now: u64, units: u64, max_wait: u64) -> Standing {
        self.rate.take_within(&mut self.clients.get(key).lock(), now, units, max_wait)
    }

    /// As [`Rate::look`]. A client that is not known stays unknown.
    pub fn look(&self, key: &str, now: u64, units: u64) -> Standing {
        let mut usage = self.clients.peek(key).map(|usage| *usage.lock()).unwrap_or_default();
        self.rate.look(&mut usage, now, units)
    }

    /// As [`Rate::charge`].
    pub fn charge(&self, key: &str, now: u64, units: u64) -> Standing {
        self.rate.charge(&mut self.clients.get(key).lock(), now, units)
    }

    /// A client, to be charged later by [`Self::charge_client`] without its key.
    pub fn client(&self, key: &str) -> Client {
        Client(self.clients.get(key))
    }

    /// As [`Self::charge`].
    pub fn charge_client(&self, client: &Client, now: u64, units: u64) -> Standing {
        self.rate.charge(&mut client.0.lock(), now, units)
    }

    /// As [`Rate::give_back`].
    pub fn give_back(&self, key: &str, units: u64) {
        if let Some(usage) = self.clients.peek(key) {
            self.rate.give_back(&mut usage.lock(), units);
        }
    }

    /// Units that a client has used; `None`: it is not known.
    pub fn used(&self, key: &str, now: u64) -> Option<u64> {
        let known = self.clients.peek(key)?;
        let mut usage = *known.lock();
        Some(self.rate.used(&mut usage, now))
    }

    /// Forgets what a client has used; tells whether it was known.
    pub fn forget(&self, key: &str) -> bool {
        self.clients.remove(key)
    }

    /// Forgets clients that stand as if they had used nothing.
    pub fn forget_idle(&self, now: u64) {
        self.clients.retain(|usage| !self.rate.is_unused(usage, now));
    }

    /// The keys of the clients that have used something, with the units, the highest first; at most `limit`.
    pub fn busiest(&self, now: u64, limit: usize) -> Vec<(Box<str>, u64)> {
        let used = |(key, usage): (Box<str>, Shared<Usage>)| {
            let mut usage = *usage.lock();
            (key, self.rate.used(&mut usage, now))
        };
        let mut all: Vec<_> = self.clients.iter().map(used).filter(|(_, used)| *used > 0).collect();
        all.sort_unstable_by(|(a, most), (b, more)| more.cmp(most).then_with(|| a.cmp(b)));
        all.truncate(limit);
        all
    }

    /// How many clients are known.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// How many clients are known at most.
    pub fn max_keys(&self) -> usize {
        self.clients.max()
    }
}
