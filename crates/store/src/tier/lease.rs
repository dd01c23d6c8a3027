//! Leases: the right of one replica to fetch for a key while the others wait.

use std::fmt;
use std::time::Duration;

use http::{HeaderValue, StatusCode};

use super::relay::Offered;
use crate::ledger::Position;

/// The terms of a lease.
#[derive(Clone, Copy, Debug)]
pub struct LeaseTerms {
    /// For how long other replicas wait for a holder that has died. A holder that lives renews the lease.
    pub term: Duration,
    /// The ledger's position from before the fetch: an invalidation that comes later makes the lease outdated.
    pub position: Position,
    /// The token of a lease that the request has found to be outdated, or its holder silent: it no longer counts.
    pub instead_of: Option<u64>,
}

/// Another replica's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseHolder {
    /// Identifies it among other leases.
    pub token: u64,
    /// The ledger's position from before its fetch, as replicas share it.
    pub position: Position,
    /// Whether its replica has given no sign of life since the lease was first seen here, or lately: it has died, was stopped or is cut off.
    pub silent: bool,
}

/// How a fetch ended without a stored response, as the replicas learn that waited for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchFailure {
    /// The origin gave no answer. The word says in which way: whoever fetches chooses it, and reads it elsewhere.
    NoAnswer(Box<str>),
    /// The origin answered with a server error.
    ServerError {
        /// Its status.
        status: StatusCode,
        /// When to ask again, as the origin said it.
        retry_after: Option<HeaderValue>,
    },
    /// The origin refused the request for what stands in it, which says nothing about other requests.
    Refused,
    /// The answer is for one client only.
    NotShared(Remembered),
}

/// Whether later requests for the key need not wait for each other either, as the replica that fetched remembers it for itself (hit-for-miss).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remembered {
    /// It remembers nothing.
    #[default]
    No,
    /// Of requests without credentials.
    Plain,
    /// Of requests with credentials that are no part of the key.
    OfCredentials,
}

impl FetchFailure {
    /// Whether another request may get a better answer.
    pub fn is_of_one_request(&self) -> bool {
        match self {
            Self::NoAnswer(_) => false,
            Self::ServerError { status, .. } => *status == StatusCode::INTERNAL_SERVER_ERROR,
            Self::Refused | Self::NotShared(_) => true,
        }
    }
}

/// The right to fetch for a key while other replicas wait. It ends with what is written under it, or when it is dropped.
pub struct Lease {
    key: String,
    token: u64,
    tier: usize,
    arriving: bool,
    held: Option<Box<dyn HeldLease>>,
}

/// A lease on the side of the tier that has granted it, and that renews it for as long as this lives.
pub trait HeldLease: Send + Sync {
    /// It ends without a stored response.
    fn end(self: Box<Self>, ending: LeaseEnd);

    /// The answer's head is there and its body is on its way. Those who wait for a slow one read what is `offered` while it arrives. Where nothing is,
    /// or the tier cannot relay it, the lease ends by itself. Either is in time for them to be late by no more than an operation may take.
    fn arriving(&self, offered: Option<Box<dyn Offered>>);
}

/// How a lease ended without a stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseEnd {
    /// No answer is known: the next request that waits may fetch.
    GivenUp,
    /// Nothing was stored. All requests that wait go on at once: one after the other, the last would wait for all. Those that have waited for long
    /// learn how the fetch failed, if it did.
    Failed(Option<FetchFailure>),
    /// The answer is for one client only: requests need not wait for each other for a while.
    NotShared(Remembered),
}

impl Lease {
    /// A lease that was granted under `key` and is known by `token`.
    pub fn new(key: String, token: u64, held: impl HeldLease + 'static) -> Self {
        Self { key, token, tier: 0, arriving: false, held: Some(Box::new(held)) }
    }

    /// The key it was granted under. The response may be written under another one: the answer may have selecting fields that were not known.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Identifies it among the leases of other replicas.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// The same lease, granted by the tier of this number in a chain.
    #[must_use]
    pub fn of_tier(mut self, tier: usize) -> Self {
        self.tier = tier;
        self
    }

    /// The number of the tier that granted it. What is written under it ends it there, and nowhere else.
    pub fn tier(&self) -> usize {
        self.tier
    }

    /// The answer's head is there. From here on requests do not wait for the end of a body that takes long: they read what is `offered`, or stop waiting.
    pub fn arriving(&mut self, offered: Option<Box<dyn Offered>>) {
        self.arriving = true;
        if let Some(held) = &self.held {
            held.arriving(offered);
        }
    }

    /// It ended with what was written.
    pub fn spent(mut self) {
        self.held = None;
    }

    /// It ends, and requests that wait need not wait for each other.
    pub fn not_shared(self) {
        self.not_shared_for_long(Remembered::No);
    }

    /// As [`Self::not_shared`], and those who wait learn what is remembered here.
    pub fn not_shared_for_long(mut self, remembered: Remembered) {
        self.end(LeaseEnd::NotShared(remembered));
    }

    /// It ends without an answer, and all requests that wait go on at the same time.
    pub fn failed(mut self, failure: Option<FetchFailure>) {
        self.end(LeaseEnd::Failed(failure));
    }

    fn end(&mut self, ending: LeaseEnd) {
        if let Some(held) = self.held.take() {
            held.end(ending);
        }
    }
}

impl Drop for Lease {
    /// A body that broke off is no answer, and the next may break off too.
    fn drop(&mut self) {
        self.end(if self.arriving { LeaseEnd::Failed(None) } else { LeaseEnd::GivenUp });
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("key", &self.key).field("token", &self.token).finish_non_exhaustive()
    }
}
