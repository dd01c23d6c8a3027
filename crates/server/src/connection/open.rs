//! The number of open connections, and the bytes that they hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OwnedSemaphorePermit;

/// How many connections are open, and what they hold.
#[derive(Clone, Debug, Default)]
pub struct OpenConnections {
    count: Arc<AtomicU64>,
    unsent: Arc<AtomicU64>,
}

impl OpenConnections {
    /// Connections right now.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Bytes of HTTP/2 responses that were handed to their connections and that clients have not taken yet.
    pub fn unsent(&self) -> u64 {
        self.unsent.load(Ordering::Relaxed)
    }
}

/// A connection's place among those allowed.
#[derive(Debug)]
pub(crate) struct Slot {
    open: OpenConnections,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    pub(crate) fn new(permit: OwnedSemaphorePermit, open: &OpenConnections) -> Self {
        open.count.fetch_add(1, Ordering::Relaxed);
        Self { open: open.clone(), _permit: permit }
    }

    /// See [`OpenConnections::unsent`].
    pub(crate) fn unsent(&self) -> &Arc<AtomicU64> {
        &self.open.unsent
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.count.fetch_sub(1, Ordering::Relaxed);
    }
}
