//! The kinds of operation on Redis, and the trait that observes them.

use std::time::Duration;

use larder_store::RemoteError;

/// A kind of operation.
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
    /// A lease is kept, or its holder shows that it lives, or another replica looks whether it does.
    Renew,
    /// An answer that is still arriving is handed on to other replicas, or read from one.
    Relay,
    /// A lease is given back, or a relay that broke off is dropped.
    Release,
    /// An invalidation is put into the log.
    Publish,
    /// Replicas take turns at something, and tell each other what came of it, such as certificates.
    Turn,
    /// Units of a shared limit are taken.
    Limit,
    /// Something is published on a channel, for whoever hears it.
    Announce,
}

impl Operation {
    /// All of them, for metrics that are declared ahead.
    pub const ALL: [Self; 12] = [
        Self::Load,
        Self::Chunk,
        Self::Commit,
        Self::Freshen,
        Self::Remove,
        Self::Renew,
        Self::Relay,
        Self::Release,
        Self::Publish,
        Self::Turn,
        Self::Limit,
        Self::Announce,
    ];

    /// Whether it follows from an operation that may have failed for the same reason: one failure counts once.
    pub(crate) const fn is_afterwards(self) -> bool {
        matches!(self, Self::Renew | Self::Release | Self::Remove)
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
            Self::Relay => "relay",
            Self::Release => "release",
            Self::Publish => "publish",
            Self::Turn => "turn",
            Self::Limit => "limit",
            Self::Announce => "announce",
        }
    }
}

/// Observes every operation that reached Redis or should have. Called on the request path: it must not wait.
pub trait RedisObserver: Send + Sync {
    /// One operation is over.
    fn operation(&self, operation: Operation, outcome: Result<(), RemoteError>, elapsed: Duration);
}
