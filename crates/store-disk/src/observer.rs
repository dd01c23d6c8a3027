//! The kinds of operation on disk, and the trait that observes them.

use std::time::Duration;

use larder_store::RemoteError;

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskOperation {
    /// A look-up that had to read. One that the index answers is none.
    Load,
    /// A response is written.
    Commit,
    /// Its head is renewed.
    Freshen,
    /// It is dropped.
    Remove,
}

impl DiskOperation {
    /// All of them, for metrics that are declared ahead.
    pub const ALL: [Self; 4] = [Self::Load, Self::Commit, Self::Freshen, Self::Remove];

    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Commit => "commit",
            Self::Freshen => "freshen",
            Self::Remove => "remove",
        }
    }
}

/// Observes every operation on the disk. Called on the request path: it must not wait.
pub trait DiskObserver: Send + Sync {
    /// One operation is over.
    fn operation(&self, operation: DiskOperation, outcome: Result<(), RemoteError>, elapsed: Duration);
}

/// The observer, where there is one.
#[derive(Clone, Default)]
pub(crate) struct Observing(pub(crate) Option<std::sync::Arc<dyn DiskObserver>>);

impl Observing {
    pub(crate) fn tell(&self, operation: DiskOperation, outcome: Result<(), RemoteError>, elapsed: Duration) {
        if let Some(observer) = &self.0 {
            observer.operation(operation, outcome, elapsed);
        }
    }
}

impl std::fmt::Debug for Observing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Observing").field(&self.0.is_some()).finish()
    }
}
