//! A stored response.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_semantics::{PrimaryKey, SecondaryKey, StoredHead, Timestamp};

use crate::body::StoredBody;
use crate::ledger::{Ledger, Position, Tags};

/// A complete response with what selects, dates and invalidates it.
#[derive(Debug)]
pub struct StoredResponse {
    /// The whole primary key: compared on every hit, since placement is by hash only.
    pub key: PrimaryKey,
    /// The selecting fields' values it was made for (RFC 9111 §4.1); `None` without `Vary`.
    pub secondary: Option<SecondaryKey>,
    /// Status, fields, freshness.
    pub head: Arc<StoredHead>,
    /// The body.
    pub body: StoredBody,
    /// What invalidates it.
    pub tags: Tags,
    /// The ledger's position from before its fetch began.
    pub position: Position,
    /// The number of its fetch: of two fetches of one key, the one that began later is the newer truth, whichever ended first.
    pub fetch: u64,
    /// Position up to which it is known to be valid.
    checked: AtomicU64,
    /// Milliseconds since the epoch before which no further background refresh starts, after one failed.
    refresh_after: AtomicU64,
}

impl StoredResponse {
    /// A response fetched at `position` by fetch number `fetch`.
    pub fn new(
        key: PrimaryKey,
        secondary: Option<SecondaryKey>,
        head: Arc<StoredHead>,
        body: StoredBody,
        tags: Tags,
        position: Position,
        fetch: u64,
    ) -> Self {
        Self { key, secondary, head, body, tags, position, fetch, checked: AtomicU64::new(position.0), refresh_after: AtomicU64::new(0) }
    }

    /// This response with its head freshened by a 304 (RFC 9111 §4.3.4). The body is shared, not copied.
    pub fn freshened(&self, head: StoredHead, position: Position, fetch: u64) -> Self {
        Self::new(self.key.clone(), self.secondary.clone(), Arc::new(head), self.body.clone(), self.tags.clone(), position, fetch)
    }

    /// Whether no invalidation concerns it. One compare while nothing was invalidated since it was last asked.
    pub fn is_valid(&self, ledger: &Ledger) -> bool {
        let head = ledger.position();
        if self.checked.load(Ordering::Relaxed) >= head.0 {
            return true;
        }
        let valid = ledger.is_valid(&self.tags, self.position);
        if valid {
            self.checked.fetch_max(head.0, Ordering::Relaxed);
        }
        valid
    }

    /// Whether a background refresh may start now.
    pub fn may_refresh(&self, now: Timestamp) -> bool {
        self.refresh_after.load(Ordering::Relaxed) <= now.as_millis()
    }

    /// After a failed refresh: the next one not before `at`, so that a failing origin is not asked once per request.
    pub fn postpone_refresh(&self, at: Timestamp) {
        self.refresh_after.store(at.as_millis(), Ordering::Relaxed);
    }

    /// Bytes of memory it holds: key, head, body, tags.
    pub fn weight(&self) -> usize {
        let secondary = self.secondary.as_ref().map_or(0, |key| key.text().len());
        size_of::<Self>() + self.key.text().len() + secondary + self.head.weight() + self.body.weight() + size_of_val::<[_]>(&self.tags)
    }
}
