//! A stored response.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::HeaderMap;
use larder_semantics::{PrimaryKey, SecondaryKey, StoredHead, Timestamp, VarySpec};

use crate::body::StoredBody;
use crate::ledger::{Checked, Ledger, Position, Subject, Tags, tags_weight};

/// Which requests a response with `Vary` is for (RFC 9111 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The selecting fields.
    pub spec: VarySpec,
    /// Their values in the request it was made for.
    pub secondary: SecondaryKey,
}

impl Variant {
    /// The variant of a request with these fields.
    pub fn of(spec: VarySpec, request: &HeaderMap) -> Self {
        let secondary = spec.secondary_key(request);
        Self { spec, secondary }
    }

    /// Whether a request with these fields selects it.
    pub fn suits(&self, request: &HeaderMap) -> bool {
        self.spec.secondary_key(request) == self.secondary
    }

    /// Bytes of memory it holds besides itself.
    pub(crate) fn weight(&self) -> usize {
        self.secondary.text().len() + size_of_val(self.spec.names())
    }
}

/// A complete response with what selects, dates and invalidates it.
#[derive(Debug)]
pub struct StoredResponse {
    /// The whole primary key: compared on every hit, since placement is by hash only.
    pub key: PrimaryKey,
    /// Which requests it is for; `None` without `Vary`.
    pub variant: Option<Variant>,
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
    /// The number of the fetch that brought the body. Equal to `fetch` until a 304 renews the head.
    pub body_fetch: u64,
    checked: Checked,
    /// Whether it has answered a request from the store.
    asked: AtomicBool,
    /// Milliseconds since the epoch before which no further background refresh starts, after one failed.
    refresh_after: AtomicU64,
}

impl StoredResponse {
    /// A response fetched at `position` by fetch number `fetch`.
    pub fn new(
        key: PrimaryKey,
        variant: Option<Variant>,
        head: Arc<StoredHead>,
        body: StoredBody,
        tags: Tags,
        position: Position,
        fetch: u64,
    ) -> Self {
        Self {
            key,
            variant,
            head,
            body,
            tags,
            position,
            fetch,
            body_fetch: fetch,
            checked: Checked::new(position),
            asked: AtomicBool::new(false),
            refresh_after: AtomicU64::new(0),
        }
    }

    /// This response with its head freshened by a 304 (RFC 9111 §4.3.4). The body is shared, not copied.
    pub fn freshened(&self, head: StoredHead, position: Position, fetch: u64) -> Self {
        let (key, variant, tags) = (self.key.clone(), self.variant.clone(), self.tags.clone());
        Self { body_fetch: self.body_fetch, ..Self::new(key, variant, Arc::new(head), self.body.clone(), tags, position, fetch) }
    }

    /// This response for another variant: the origin said that it is good for both (RFC 9111 §4.3.4).
    pub fn also_for(&self, variant: Variant) -> Self {
        let mut other = self.freshened(StoredHead::clone(&self.head), self.position, self.fetch);
        other.variant = Some(variant);
        other
    }

    /// Whether it may still be used, if only as stale ([`Self::is_softened`]). One compare while nothing was invalidated since it was last
    /// asked.
    pub fn is_valid(&self, ledger: &Ledger) -> bool {
        self.checked.is_valid(ledger, &Subject { url: self.key.url(), tags: &self.tags })
    }

    /// Whether a soft invalidation made it stale, as far as [`Self::is_valid`] looked.
    pub fn is_softened(&self) -> bool {
        self.checked.is_softened()
    }

    /// It answers a request from the store.
    pub fn mark_asked(&self) {
        // Nearly always it is marked already, and a cache line that nobody writes to stays with all who read it.
        if !self.was_asked() {
            self.asked.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it has answered a request from the store since it was fetched or confirmed.
    pub fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
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
        let variant = self.variant.as_ref().map_or(0, Variant::weight);
        size_of::<Self>() + self.key.text().len() + variant + self.head.weight() + self.body.weight() + tags_weight(&self.tags)
    }
}
