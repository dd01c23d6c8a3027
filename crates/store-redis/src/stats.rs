//! What is counted, and whom it is told.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_store::RemoteError;

use larder_store::breaker::BreakerState;

/// What is asked of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A look-up, or the lease.
    Load,
    /// A chunk of a long body.
    Chunk,
    /// A response is written.
    Commit,
    /// Its head is renewed.
    Freshen,
    /// It is dropped.
    Remove,
    /// A lease is kept.
    Renew,
    /// A lease is given back.
    Release,
    /// An invalidation is put into the log.
    Publish,
}

impl Operation {
    /// All of them, for metrics that are declared ahead.
    pub const ALL: [Self; 8] =
        [Self::Load, Self::Chunk, Self::Commit, Self::Freshen, Self::Remove, Self::Renew, Self::Release, Self::Publish];

    /// Whether it follows from an operation that may have failed for the same reason: one failure counts once.
    pub(crate) const fn is_afterwards(self) -> bool {
        matches!(self, Self::Renew | Self::Release)
    }

    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Chunk => "chunk",
            Self::Commit => "commit",
            Self::Freshen => "freshen",
            Self::Remove => "remove",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::Publish => "publish",
        }
    }
}

/// Is told of every operation that reached Redis or should have. Called on the request path: it must not wait.
pub trait RedisObserver: Send + Sync {
    /// One operation is over.
    fn operation(&self, operation: Operation, outcome: Result<(), RemoteError>, elapsed: Duration);
}

/// Figures since the start, and how it stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedisStats {
    /// Look-ups that brought a response.
    pub hits: u64,
    /// Look-ups that brought none.
    pub misses: u64,
    /// Look-ups that met another replica's lease.
    pub awaited: u64,
    /// Values that did not decode. They were deleted.
    pub damaged: u64,
    /// Values that none of the keys opens. They were deleted.
    pub locked: u64,
    /// Long bodies that broke off after their beginning was handed out.
    pub interrupted: u64,
    /// Bytes that compression has spared Redis since the start.
    pub saved_bytes: u64,
    /// Responses written.
    pub written: u64,
    /// Writes given up because the queue was full.
    pub dropped: u64,
    /// Writes that wait.
    pub queued: u64,
    /// Bytes of bodies that wait.
    pub queued_bytes: u64,
    /// The number of the log's entry that was applied last.
    pub log_number: u64,
    /// How long ago the log was last seen to have nothing new; `None` before it was first read to its end.
    pub log_lag: Option<Duration>,
    /// Whether that was not too long ago: what others have stored is used.
    pub log_vouched: bool,
    /// Whether the log took the last invalidation that was put into it, or none was.
    pub log_takes_purges: bool,
    /// How often an invalidation could not be put into the log.
    pub log_refused: u64,
    /// How often the log's own keys were damaged, and it began anew.
    pub log_damaged: u64,
    /// Invalidations that the log does not have yet.
    pub journaled: u64,
    /// Whether it is being asked.
    pub breaker: BreakerState,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) awaited: Counter,
    pub(crate) damaged: Counter,
    pub(crate) locked: Counter,
    pub(crate) interrupted: Counter,
    pub(crate) saved_bytes: Counter,
    pub(crate) written: Counter,
    pub(crate) dropped: Counter,
}

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.add_many(1);
    }

    pub(crate) fn add_many(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.get(), f)
    }
}
