//! The memory tier: moka behind one file.
//!
//! Lifetimes live in the entries, not in the map: what is stale must stay, for validation and for stale answers. What is dead or
//! invalidated goes when it is next looked up, or when room is needed.

use std::cell::RefCell;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use larder_semantics::{KeyBuffer, PrimaryKey, StoredHead, Timestamp};
use moka::notification::RemovalCause;

use crate::ledger::Ledger;
use crate::response::{StoredResponse, Variant};
use crate::slot::{HitForMiss, KeyHash, Placement, Slot, SlotKey};
use crate::vary_index::VaryIndex;

/// What moka keeps per entry besides the value, in bytes, measured over 100 000 entries: table, deques, sketch, counters.
const ENTRY_OVERHEAD: usize = 240;

/// Locks that order the writers of one key. Readers never take them.
const WRITE_STRIPES: usize = 64;

/// Stored variants whose validators go into one conditional request.
const MAX_CANDIDATES: usize = 8;

thread_local! {
    /// Secondary keys of look-ups are written here, so that none allocates.
    static SECONDARY: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What a look-up found.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The stored response that the request selects, fresh or not.
    Found(Arc<StoredResponse>),
    /// The URI is known, but no stored variant suits this request.
    VaryMiss(Arc<VaryIndex>),
    /// Known not to be worth waiting for.
    HitForMiss,
    /// Nothing under this URI.
    Absent,
}

impl Lookup {
    /// The head of the stored response that was found.
    pub fn head(&self) -> Option<&StoredHead> {
        match self {
            Self::Found(response) => Some(&response.head),
            _ => None,
        }
    }
}

/// Why entries left, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evictions {
    /// Room was needed.
    pub size: u64,
    /// Invalidated or superseded by an answer that cannot be stored.
    pub removed: u64,
    /// A newer response took the place.
    pub replaced: u64,
}

/// Figures of the memory tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Entries, variants and marks included.
    pub entries: u64,
    /// Their bytes, bookkeeping included.
    pub bytes: u64,
    /// The most bytes it may hold.
    pub capacity: u64,
    /// Why entries left.
    pub evictions: Evictions,
}

/// See the module's page.
#[derive(Debug)]
pub struct MemoryStore {
    slots: moka::sync::Cache<KeyHash, Slot, BuildHasherDefault<Placed>>,
    capacity: u64,
    placement: Placement,
    ledger: Arc<Ledger>,
    writers: Box<[Mutex<()>]>,
    evictions: Arc<EvictionCells>,
}

#[derive(Debug, Default)]
struct EvictionCells {
    size: AtomicU64,
    removed: AtomicU64,
    replaced: AtomicU64,
}

impl MemoryStore {
    /// A store of at most `capacity` bytes, keys, heads and bookkeeping included.
    pub fn new(capacity: u64, ledger: Arc<Ledger>) -> Self {
        let evictions = Arc::new(EvictionCells::default());
        let cells = Arc::clone(&evictions);
        let slots = moka::sync::Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, slot: &Slot| u32::try_from(slot.weight() + ENTRY_OVERHEAD).unwrap_or(u32::MAX))
            .eviction_listener(move |_, _, cause| {
                let cell = match cause {
                    RemovalCause::Size | RemovalCause::Expired => &cells.size,
                    RemovalCause::Explicit => &cells.removed,
                    RemovalCause::Replaced => &cells.replaced,
                };
                cell.fetch_add(1, Ordering::Relaxed);
            })
            .build_with_hasher(BuildHasherDefault::default());
        let writers = (0..WRITE_STRIPES).map(|_| Mutex::default()).collect();
        Self { slots, capacity, placement: Placement::random(), ledger, writers, evictions }
    }

    /// The ledger that its entries are checked against.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Where a derived key is placed.
    pub fn place<'a>(&self, key: &'a KeyBuffer) -> SlotKey<'a> {
        self.placement.primary(key)
    }

    /// Where a kept key is placed.
    pub fn place_key<'a>(&self, key: &'a PrimaryKey) -> SlotKey<'a> {
        self.placement.of_text(key.text())
    }

    /// What is stored for a request with these fields. Follows a [`Slot::Vary`] once; the most recent of several matches wins
    /// (RFC 9111 §4.1). Invalidated entries are removed on the way.
    pub fn lookup(&self, key: SlotKey<'_>, request: &HeaderMap, now: Timestamp) -> Lookup {
        match self.get(key.hash, key.text) {
            None => Lookup::Absent,
            Some(Slot::Response(response)) => Lookup::Found(response),
            Some(Slot::HitForMiss(mark)) if mark.until > now => Lookup::HitForMiss,
            Some(Slot::HitForMiss(_)) => Lookup::Absent,
            Some(Slot::Vary(index)) => match self.select(key, &index, request) {
                Some(response) => Lookup::Found(response),
                None => Lookup::VaryMiss(index),
            },
        }
    }

    fn select(&self, key: SlotKey<'_>, index: &VaryIndex, request: &HeaderMap) -> Option<Arc<StoredResponse>> {
        let mut best: Option<Arc<StoredResponse>> = None;
        for spec in index.specs() {
            let found = SECONDARY.with_borrow_mut(|secondary| {
                secondary.clear();
                spec.write_secondary_key(request, secondary);
                match self.get(self.placement.variant(key.hash, secondary), key.text) {
                    Some(Slot::Response(response)) => response.is_variant(secondary).then_some(response),
                    _ => None,
                }
            });
            let Some(response) = found else { continue };
            if best.as_ref().is_none_or(|other| response.head.date > other.head.date) {
                best = Some(response);
            }
        }
        best
    }

    /// The stored variants of a resource that can be validated, newest first, at most eight (RFC 9111 §4.3.1).
    pub fn candidates(&self, index: &VaryIndex) -> Vec<Arc<StoredResponse>> {
        let stored = index.variants().iter().rev().filter_map(|hash| match self.get(*hash, index.key().text()) {
            Some(Slot::Response(response)) if response.head.validators.etag.is_some() => Some(response),
            _ => None,
        });
        stored.take(MAX_CANDIDATES).collect()
    }

    /// The slot, if it is for this key and still valid.
    fn get(&self, hash: KeyHash, text: &str) -> Option<Slot> {
        let slot = self.slots.get(&hash)?;
        if slot.key().text() != text {
            return None;
        }
        if let Slot::Response(response) = &slot
            && !response.is_valid(&self.ledger)
        {
            self.slots.invalidate(&hash);
            return None;
        }
        Some(slot)
    }

    /// Stores a response. Refused, with `false`, when it was invalidated meanwhile or a later fetch already left its mark.
    pub fn commit(&self, response: Arc<StoredResponse>) -> bool {
        if !response.is_valid(&self.ledger) {
            return false;
        }
        let primary = self.placement.of_text(response.key.text()).hash;
        let _turn = self.turn(primary);
        let Some(variant) = &response.variant else {
            return self.replace(primary, Slot::Response(response));
        };
        let hash = self.placement.variant(primary, variant.secondary.text());
        if !self.replace(hash, Slot::Response(Arc::clone(&response))) {
            return false;
        }
        let mut index = match self.slots.get(&primary) {
            Some(Slot::Vary(index)) if *index.key() == response.key => (*index).clone(),
            _ => VaryIndex::new(response.key.clone()),
        };
        for old in index.add(&variant.spec, hash, response.fetch) {
            self.slots.invalidate(&old);
        }
        self.slots.insert(primary, Slot::Vary(Arc::new(index)));
        true
    }

    /// Where requests with these fields are collapsed: at their variant's place, as far as it is known which one that is.
    pub fn flight_hash(&self, key: SlotKey<'_>, found: &Lookup, request: &HeaderMap) -> KeyHash {
        match found {
            Lookup::Found(response) => match &response.variant {
                Some(variant) => self.placement.variant(key.hash, variant.secondary.text()),
                None => key.hash,
            },
            Lookup::VaryMiss(index) => match index.specs().first() {
                Some(spec) => self.placement.variant(key.hash, spec.secondary_key(request).text()),
                None => key.hash,
            },
            Lookup::HitForMiss | Lookup::Absent => key.hash,
        }
    }

    /// Where one variant lies.
    pub fn variant_hash(&self, key: SlotKey<'_>, variant: &Variant) -> KeyHash {
        self.placement.variant(key.hash, variant.secondary.text())
    }

    /// Remembers that a key's answers cannot be shared, and drops what is stored for it. Later fetches win, as with [`Self::commit`].
    /// A resource with variants is left alone: one variant that cannot be shared says nothing about the others.
    pub fn mark_hit_for_miss(&self, mark: HitForMiss) -> bool {
        let primary = self.placement.of_text(mark.key.text()).hash;
        let _turn = self.turn(primary);
        if let Some(Slot::Vary(index)) = self.slots.get(&primary)
            && *index.key() == mark.key
        {
            return false;
        }
        self.replace(primary, Slot::HitForMiss(Arc::new(mark)))
    }

    /// Drops a stored response that its origin no longer stands for.
    pub fn remove(&self, response: &StoredResponse) {
        let primary = self.placement.of_text(response.key.text()).hash;
        let _turn = self.turn(primary);
        let hash = response.variant.as_ref().map_or(primary, |variant| self.placement.variant(primary, variant.secondary.text()));
        if let Some(Slot::Response(current)) = self.slots.get(&hash)
            && current.fetch == response.fetch
        {
            self.slots.invalidate(&hash);
        }
    }

    /// Figures for metrics. Settles pending evictions first, so they are exact.
    pub fn stats(&self) -> MemoryStats {
        self.slots.run_pending_tasks();
        let count = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        MemoryStats {
            entries: self.slots.entry_count(),
            bytes: self.slots.weighted_size(),
            capacity: self.capacity,
            evictions: Evictions {
                size: count(&self.evictions.size),
                removed: count(&self.evictions.removed),
                replaced: count(&self.evictions.replaced),
            },
        }
    }

    fn replace(&self, hash: KeyHash, slot: Slot) -> bool {
        if self.is_superseded(hash, slot.key(), slot.fetch()) {
            return false;
        }
        self.slots.insert(hash, slot);
        true
    }

    /// Whether a fetch that began later than `fetch` already wrote this slot.
    fn is_superseded(&self, hash: KeyHash, key: &PrimaryKey, fetch: u64) -> bool {
        self.slots.get(&hash).is_some_and(|current| current.key() == key && current.fetch() > fetch)
    }

    fn turn(&self, hash: KeyHash) -> MutexGuard<'_, ()> {
        let stripe = hash as usize % self.writers.len();
        self.writers[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Placements are hashes already.
#[derive(Debug, Default)]
struct Placed(u64);

impl Hasher for Placed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64(bytes);
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

#[cfg(test)]
mod tests;
