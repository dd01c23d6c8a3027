//! The usage of each client.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::keyed::{Keyed, Shared};
use crate::rate::{Algorithm, Rate, Standing, Usage};

/// One client of a table.
#[derive(Clone, Debug)]
pub struct Client(Shared<Usage>);

/// What one client of a window of the calendar has used, for another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownClient {
    /// Its key.
    pub key: Box<str>,
    /// Units.
    pub used: u64,
    /// Whether [`Rate::reaches`] has said so in the window.
    pub is_told: bool,
}

/// The usage of each client by its key, for a bounded number of clients. Where more come, those go that are used least: they begin anew when
/// they come back, so a flood of clients costs memory to a bound and gives each of them no more than a new client gets.
#[derive(Debug)]
pub struct Table {
    rate: Rate,
    /// The beginning and the length of the running window of the calendar. Read one after the other: between two windows a client may be told a
    /// wrong time until it has everything again, and nothing else depends on both.
    window: [AtomicU64; 2],
    clients: Keyed<Usage>,
}

impl Table {
    /// A table of at most `max_keys` clients.
    pub fn new(rate: Rate, max_keys: usize) -> Self {
        Self { rate, window: [AtomicU64::new(0), AtomicU64::new(rate.per)], clients: Keyed::new(max_keys) }
    }

    /// The rate, with the window of the calendar that runs now.
    pub fn rate(&self) -> Rate {
        match self.rate.algorithm {
            Algorithm::Calendar { .. } => {
                let [begins, per] = [&self.window[0], &self.window[1]].map(|part| part.load(Ordering::Relaxed));
                Rate { algorithm: Algorithm::Calendar { begins }, per, ..self.rate }
            }
            _ => self.rate,
        }
    }

    /// The next window of the calendar has begun; of another algorithm it changes nothing.
    pub fn turn(&self, begins: u64, per: u64) {
        self.window[1].store(per, Ordering::Relaxed);
        self.window[0].store(begins, Ordering::Relaxed);
    }

    /// As [`Rate::take`].
    pub fn take(&self, key: &str, now: u64, units: u64) -> Standing {
        self.rate().take(&mut self.clients.get(key).lock(), now, units)
    }

    /// As [`Rate::take_within`].
    pub fn take_within(&self, key: &str, now: u64, units: u64, max_wait: u64) -> Standing {
        self.rate().take_within(&mut self.clients.get(key).lock(), now, units, max_wait)
    }

    /// As [`Rate::look`]. A client that is not known stays unknown.
    pub fn look(&self, key: &str, now: u64, units: u64) -> Standing {
        let mut usage = self.clients.peek(key).map(|usage| *usage.lock()).unwrap_or_default();
        self.rate().look(&mut usage, now, units)
    }

    /// As [`Rate::charge`].
    pub fn charge(&self, key: &str, now: u64, units: u64) -> Standing {
        self.rate().charge(&mut self.clients.get(key).lock(), now, units)
    }

    /// A client, to be charged later by [`Self::charge_client`] without its key.
    pub fn client(&self, key: &str) -> Client {
        Client(self.clients.get(key))
    }

    /// The key of a client, found by looking at all of them; `None`: it was forgotten.
    pub fn key_of(&self, client: &Client) -> Option<Box<str>> {
        self.clients.iter().find(|(_, usage)| usage.is(&client.0)).map(|(key, _)| key)
    }

    /// As [`Self::reaches`].
    pub fn client_reaches(&self, client: &Client, now: u64, units: u64) -> bool {
        self.rate().reaches(&mut client.0.lock(), now, units)
    }

    /// As [`Self::charge`].
    pub fn charge_client(&self, client: &Client, now: u64, units: u64) -> Standing {
        self.rate().charge(&mut client.0.lock(), now, units)
    }

    /// As [`Rate::learn`].
    pub fn learn(&self, key: &str, now: u64, used: u64, reset: u64) {
        self.rate().learn(&mut self.clients.get(key).lock(), now, used, reset);
    }

    /// As [`Rate::reaches`].
    pub fn reaches(&self, key: &str, now: u64, units: u64) -> bool {
        self.clients.peek(key).is_some_and(|usage| self.rate().reaches(&mut usage.lock(), now, units))
    }

    /// As [`Rate::give_back`].
    pub fn give_back(&self, key: &str, units: u64) {
        if let Some(usage) = self.clients.peek(key) {
            self.rate().give_back(&mut usage.lock(), units);
        }
    }

    /// Units that a client has used; `None`: it is not known.
    pub fn used(&self, key: &str, now: u64) -> Option<u64> {
        let known = self.clients.peek(key)?;
        let mut usage = *known.lock();
        Some(self.rate().used(&mut usage, now))
    }

    /// Forgets what a client has used; tells whether it was known.
    pub fn forget(&self, key: &str) -> bool {
        self.clients.remove(key)
    }

    /// Forgets clients that stand as if they had used nothing.
    pub fn forget_idle(&self, now: u64) {
        let rate = self.rate();
        self.clients.retain(|usage| !rate.is_unused(usage, now));
    }

    /// The keys of the clients that have used something, with the units, the highest first; at most `limit`.
    pub fn busiest(&self, now: u64, limit: usize) -> Vec<(Box<str>, u64)> {
        let rate = self.rate();
        let used = |(key, usage): (Box<str>, Shared<Usage>)| {
            let mut usage = *usage.lock();
            (key, rate.used(&mut usage, now))
        };
        let mut all: Vec<_> = self.clients.iter().map(used).filter(|(_, used)| *used > 0).collect();
        all.sort_unstable_by(|(a, most), (b, more)| more.cmp(most).then_with(|| a.cmp(b)));
        all.truncate(limit);
        all
    }

    /// What all clients have used.
    pub fn known(&self, now: u64) -> Vec<KnownClient> {
        let rate = self.rate();
        let known = |(key, usage): (Box<str>, Shared<Usage>)| {
            let mut usage = *usage.lock();
            KnownClient { key, used: rate.used(&mut usage, now), is_told: usage.is_told }
        };
        self.clients.iter().map(known).filter(|client| client.used > 0).collect()
    }

    /// The same clients under another rate, of which this is a window of the calendar too.
    pub fn with_rate(&self, rate: Rate, now: u64) -> Self {
        let table = Self::new(rate, self.max_keys());
        let [begins, per] = [&self.window[0], &self.window[1]].map(|part| part.load(Ordering::Relaxed));
        table.turn(begins, per);
        self.known(now).iter().for_each(|client| table.restore(client, now));
        table
    }

    /// A client that was known before.
    pub fn restore(&self, client: &KnownClient, now: u64) {
        let usage = self.clients.get(&client.key);
        let mut usage = usage.lock();
        self.rate().learn(&mut usage, now, client.used, 0);
        usage.is_told = client.is_told;
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

    /// From now on so many clients are known at most. What they have used goes on; where there are more, those go that are used least.
    pub fn set_max_keys(&self, max_keys: usize) {
        self.clients.set_max(max_keys);
    }
}
