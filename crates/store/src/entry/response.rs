//! A stored response in little memory: one block of bytes, and the values that every look-up needs.
//!
//! ```text
//! StoredResponse   head · lengths · position, fetch, checked · rare (boxed: variant, long or packed body, another body's fetch)
//!                   |
//! block            own field values | tags, 8 bytes each | key | body, unless it is long or packed
//! ```
//!
//! Everything that is read of the block is a slice of it, and shares it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use bytes::Bytes;
use http::HeaderMap;
use larder_semantics::key::url_of;
use larder_semantics::{PrimaryKey, SecondaryKey, StoredHead, Timestamp, VarySpec};

use super::body::{KeptBody, StoredBody};
use super::packed::PackedBody;
use super::shapes;
use crate::ledger::{Checked, Ledger, Position, Subject, Tag, TagList};
use crate::weight::{self, allocated};

/// The maximum length of a body in the block, in bytes. A longer one is not worth another copy when a 304 renews the head; and a key that is
/// kept keeps the whole block in memory, so the block stays small.
const SHORT: u64 = 4 * 1024;

/// Maximum number of uses that a response is credited with: enough to distinguish repeated use from a single one, and few enough to be
/// used up soon.
pub(crate) const MAX_USES: u8 = 3;

/// In [`StoredResponse::uses`]: it has answered a request.
const ASKED: u8 = 0x80;

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
        allocated(self.secondary.text().len()) + allocated(size_of_val(self.spec.names()))
    }
}

/// A complete response with what selects, dates and invalidates it.
#[derive(Debug)]
pub struct StoredResponse {
    /// Status, fields, freshness.
    pub head: StoredHead,
    /// The ledger's position from before its fetch began.
    pub position: Position,
    /// The number of its fetch: of two fetches of one key, the one that began later is the newer truth, whichever ended first.
    pub fetch: u64,
    checked: Checked,
    rare: Option<Box<Rare>>,
    /// Where in the block the tags begin, the key, and what is behind it.
    tags: u16,
    key: u32,
    behind: u32,
    /// Seconds since the epoch before which no further background refresh starts, after one failed.
    refresh_after: AtomicU32,
    /// Uses that are left ([`Self::take_use`]), and [`ASKED`].
    uses: AtomicU8,
}

/// Parts that few responses have.
#[derive(Clone, Debug)]
struct Rare {
    variant: Option<Variant>,
    /// A body that is not in the block.
    body: Option<Box<KeptBody>>,
    /// A body in fewer bytes than it has.
    packed: Option<Arc<PackedBody>>,
    body_fetch: u64,
}

impl StoredResponse {
    /// A response fetched at `position` by fetch number `fetch`; `variant` is `None` without `Vary`. A short body is copied, a longer one
    /// is shared. `tags` are those besides its URL.
    pub fn new(
        key: &PrimaryKey,
        variant: Option<Variant>,
        head: &StoredHead,
        body: StoredBody,
        tags: &[Tag],
        position: Position,
        fetch: u64,
    ) -> Self {
        let tags = tags.iter().map(Tag::as_bytes);
        let is_short = body.len() <= SHORT && body.is_plain();
        let short = if is_short { body.segments().first().map_or(&[][..], |segment| segment) } else { &[] };
        let head = head.with_fields(shapes::kept(&head.headers, tags.clone().chain([key.as_bytes(), short])));
        let values = head.headers.values_end();
        let key_start = values + tags.count() * Tag::SIZE;
        let mut response = Self {
            tags: values as u16,
            key: key_start as u32,
            behind: (key_start + key.as_bytes().len()) as u32,
            head,
            position,
            fetch,
            checked: Checked::new(position),
            rare: None,
            refresh_after: AtomicU32::new(0),
            uses: AtomicU8::new(0),
        };
        if !is_short {
            response.rare().body = Some(Box::new(KeptBody::new(body)));
        }
        if variant.is_some() {
            response.rare().variant = variant;
        }
        response
    }

    fn rare(&mut self) -> &mut Rare {
        let body_fetch = self.fetch;
        self.rare.get_or_insert_with(|| Box::new(Rare { variant: None, body: None, packed: None, body_fetch }))
    }

    /// With a body that was brought by fetch number `fetch`.
    #[must_use]
    pub fn with_body_fetch(mut self, fetch: u64) -> Self {
        if fetch != self.body_fetch() {
            self.rare().body_fetch = fetch;
        }
        self
    }

    /// For the requests that `variant` says.
    #[must_use]
    pub fn with_variant(mut self, variant: Option<Variant>) -> Self {
        if variant.as_ref() != self.variant() {
            self.rare().variant = variant;
        }
        self
    }

    /// This response with its head freshened by a 304 (RFC 9111 §4.3.4).
    pub fn freshened(&self, head: &StoredHead, position: Position, fetch: u64) -> Self {
        let tags: Vec<Tag> = self.tags().iter().collect();
        self.retagged(head, &tags, position, fetch)
    }

    /// As [`Self::freshened`], where the 304 has named other tags.
    pub fn retagged(&self, head: &StoredHead, tags: &[Tag], position: Position, fetch: u64) -> Self {
        let packed = self.packed_body();
        let body = if packed.is_some() { StoredBody::default() } else { self.body() };
        let mut fresh =
            Self::new(&self.key(), self.variant().cloned(), head, body, tags, position, fetch).with_body_fetch(self.body_fetch());
        if let Some(packed) = packed {
            fresh.rare().packed = Some(Arc::clone(packed));
        }
        fresh
    }

    /// This response with its body in fewer bytes. It has been asked for as often.
    pub(crate) fn with_packed_body(&self, packed: PackedBody) -> Self {
        let tags: Vec<Tag> = self.tags().iter().collect();
        let body = StoredBody::default();
        let mut response = Self::new(&self.key(), self.variant().cloned(), &self.head, body, &tags, self.position, self.fetch);
        response = response.with_body_fetch(self.body_fetch());
        response.rare().packed = Some(Arc::new(packed));
        response.uses = AtomicU8::new(self.uses.load(Ordering::Relaxed));
        response.refresh_after = AtomicU32::new(self.refresh_after.load(Ordering::Relaxed));
        response
    }

    /// This response for another variant: the origin said that it is good for both (RFC 9111 §4.3.4).
    pub fn also_for(&self, variant: Variant) -> Self {
        self.freshened(&self.head, self.position, self.fetch).with_variant(Some(variant))
    }

    /// This response with these tags besides its own; `None` where they are too many to be kept.
    pub fn also_tagged(&self, tags: &[Tag]) -> Option<Self> {
        let own: Vec<Tag> = self.tags().iter().collect();
        let known: HashSet<Tag> = own.iter().copied().collect();
        let more: Vec<Tag> = tags.iter().filter(|tag| !known.contains(tag)).copied().collect();
        Some(self.retagged(&self.head, &Tag::joined(&own, &more)?, self.position, self.fetch))
    }

    fn block(&self) -> &Bytes {
        self.head.headers.block()
    }

    /// The whole primary key.
    pub fn key(&self) -> PrimaryKey {
        PrimaryKey::part_of(self.block().slice(self.key as usize..self.behind as usize))
    }

    /// The bytes of its text: compared on every hit, since the table finds it by a hash only.
    pub fn key_bytes(&self) -> &[u8] {
        &self.block()[self.key as usize..self.behind as usize]
    }

    /// Which requests it is for; `None` without `Vary`.
    pub fn variant(&self) -> Option<&Variant> {
        self.rare.as_ref()?.variant.as_ref()
    }

    /// The body, shared and not copied; a packed one is made whole.
    pub fn body(&self) -> StoredBody {
        match (self.long_body(), self.packed_body()) {
            (Some(body), _) => body.clone(),
            (None, Some(packed)) => packed.body(),
            (None, None) => StoredBody::short(self.block().slice(self.behind as usize..)),
        }
    }

    /// The length of the body in bytes, whole.
    pub fn body_length(&self) -> u64 {
        match (self.long_body(), self.packed_body()) {
            (Some(body), _) => body.len(),
            (None, Some(packed)) => packed.len(),
            (None, None) => (self.block().len() - self.behind as usize) as u64,
        }
    }

    /// Whether its body is held in fewer bytes than it has.
    pub fn is_packed(&self) -> bool {
        self.packed_body().is_some()
    }

    /// Whether its body is one piece of bytes and nothing else.
    pub(super) fn has_one_plain_segment(&self) -> bool {
        self.long_body().is_none_or(|body| body.is_plain() && body.segments().len() == 1)
    }

    fn packed_body(&self) -> Option<&Arc<PackedBody>> {
        self.rare.as_ref()?.packed.as_ref()
    }

    fn long_body(&self) -> Option<&StoredBody> {
        self.rare.as_ref()?.body.as_deref().map(KeptBody::body)
    }

    /// The number of the fetch that brought the body. Equal to `fetch` until a 304 renews the head.
    pub fn body_fetch(&self) -> u64 {
        self.rare.as_ref().map_or(self.fetch, |rare| rare.body_fetch)
    }

    /// The tags that invalidate it, besides its URL.
    pub fn tags(&self) -> TagList<'_> {
        TagList::packed(&self.block()[self.tags as usize..self.key as usize])
    }

    /// The names that the ledger knows it by.
    pub fn subject(&self) -> Subject<'_> {
        Subject { url: url_of(self.key_bytes()), tags: self.tags() }
    }

    /// Whether it may still be used, if only as stale ([`Self::is_softened`]). One compare while nothing was invalidated since it was last
    /// asked.
    pub fn is_valid(&self, ledger: &Ledger) -> bool {
        self.checked.is_valid(ledger, || self.subject())
    }

    /// Whether a soft invalidation made it stale, as far as [`Self::is_valid`] looked.
    pub fn is_softened(&self) -> bool {
        self.checked.is_softened()
    }

    /// It answers a request from the store.
    pub fn mark_asked(&self) {
        let uses = self.uses.load(Ordering::Relaxed);
        // Usually it has all of them already, and without a write the cache line stays shared between the cores. Of two readers at the same
        // time one may not be counted.
        if uses != ASKED | MAX_USES {
            self.uses.store(ASKED | (uses & !ASKED).saturating_add(1).min(MAX_USES), Ordering::Relaxed);
        }
    }

    /// Whether it has answered a request from the store since it was fetched or confirmed.
    pub fn was_asked(&self) -> bool {
        self.uses.load(Ordering::Relaxed) & ASKED != 0
    }

    /// How many uses it is credited with, three at most: more are not counted, since a count would cost every hit.
    pub fn uses(&self) -> u8 {
        self.uses.load(Ordering::Relaxed) & !ASKED
    }

    /// Takes one of the uses that it was credited with for the requests it has answered, a few at most; `false` where none is left. A rarely
    /// used response runs out of them first.
    pub(crate) fn take_use(&self) -> bool {
        let uses = self.uses.load(Ordering::Relaxed);
        let has_any = uses & !ASKED > 0;
        if has_any {
            self.uses.store(uses - 1, Ordering::Relaxed);
        }
        has_any
    }

    /// Whether a background refresh may start now.
    pub fn may_refresh(&self, now: Timestamp) -> bool {
        u64::from(self.refresh_after.load(Ordering::Relaxed)) * 1_000 <= now.as_millis()
    }

    /// After a failed refresh: the next one not before `at`, to the second, so that a failing origin is not asked once per request.
    pub fn postpone_refresh(&self, at: Timestamp) {
        let seconds = Timestamp::from_millis(at.as_millis().saturating_add(999)).as_secs();
        self.refresh_after.store(seconds, Ordering::Relaxed);
    }

    /// Bytes of memory it holds: head, tags, key and body, with what keeps them together.
    pub fn weight(&self) -> usize {
        /// How many share it.
        const COUNTS: usize = 2 * size_of::<usize>();
        let rare = self.rare.as_ref().map_or(0, |rare| {
            let body = rare.body.as_ref().map_or(0, |body| allocated(size_of::<KeptBody>()) + body.body().weight());
            let packed = rare.packed.as_deref().map_or(0, PackedBody::weight);
            allocated(size_of::<Rare>()) + rare.variant.as_ref().map_or(0, Variant::weight) + body + packed
        });
        allocated(COUNTS + size_of::<Self>()) + weight::head(&self.head) + rare
    }
}

#[cfg(test)]
mod tests;
