//! The memory tier: quick_cache behind one file.
//!
//! Lifetimes live in the entries, not in the map: what is stale must stay, for validation and for stale answers. What is dead or
//! invalidated goes when it is next looked up, or when room is needed.

use std::cell::RefCell;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use larder_semantics::{KeyBuffer, PrimaryKey, StoredHead, Timestamp};
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use crate::ledger::{Invalidation, Ledger, Position, Subject, Validity};
use crate::partial::StoredPart;
use crate::response::{StoredResponse, Variant};
use crate::slot::{HitForMiss, KeyHash, Placement, Slot, SlotKey};
use crate::vary_index::VaryIndex;

/// What the map keeps per entry besides what the slot points at, in bytes, measured over 100 000 entries: the slot, its links, its place
/// in the table, and what a table that doubles leaves free.
const ENTRY_OVERHEAD: usize = 90;

/// How many of the largest entries every shard has room for, so that one of them does not push everything else out.
const LARGEST_PER_SHARD: u64 = 8;

/// Shards at most. Readers share a shard's lock, so a few are enough for many cores.
const MAX_SHARDS: u64 = 64;

/// Bytes of a typical entry: says how many keys that were pushed out are remembered, to be let in sooner when they come again.
const TYPICAL_ENTRY: u64 = 4096;

/// Locks that order the writers of one key. Readers never take them.
const WRITE_STRIPES: usize = 64;

/// Stored variants whose validators go into one conditional request.
const MAX_CANDIDATES: usize = 8;

/// Entries looked at for an estimate.
const SAMPLE: usize = 10_000;

thread_local! {
    /// Secondary keys of look-ups are written here, so that none allocates.
    static SECONDARY: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What a look-up found.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The stored response that the request selects, fresh or not.
    Found(Arc<StoredResponse>),
    /// The stored response that the request selects, but other replicas may have invalidated it: it has to be validated.
    Unvouched(Arc<StoredResponse>),
    /// Some bytes of it.
    Partial(Arc<StoredPart>),
    /// The URI is known, but no stored variant suits this request.
    VaryMiss(Arc<VaryIndex>),
    /// Known not to be worth waiting for.
    HitForMiss,
    /// Nothing under this URI.
    Absent,
}

impl Lookup {
    /// The stored response that was found, good or to be validated.
    pub fn response(&self) -> Option<&Arc<StoredResponse>> {
        match self {
            Self::Found(response) | Self::Unvouched(response) => Some(response),
            Self::Partial(_) | Self::VaryMiss(_) | Self::HitForMiss | Self::Absent => None,
        }
    }

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
    slots: Cache<KeyHash, Slot, Weight, BuildHasherDefault<Placed>, Departures>,
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
    /// A store of at most `capacity` bytes, keys, heads and bookkeeping included, made for entries of up to `largest` bytes: those always
    /// fit, unless they are larger than the whole store.
    pub fn new(capacity: u64, largest: u64, ledger: Arc<Ledger>) -> Self {
        let evictions = Arc::new(EvictionCells::default());
        let options = OptionsBuilder::new()
            .weight_capacity(capacity)
            .estimated_items_capacity((capacity / TYPICAL_ENTRY) as usize)
            .shards(shards(capacity, largest))
            .build()
            .expect("both capacities are given");
        let slots = Cache::with_options(options, Weight, BuildHasherDefault::default(), Departures(Arc::clone(&evictions)));
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
            Some(Slot::Response(response)) => self.found(response, now),
            Some(Slot::Partial(part)) => self.found_part(part, now),
            Some(Slot::HitForMiss(mark)) if mark.until > now => Lookup::HitForMiss,
            Some(Slot::HitForMiss(_)) => Lookup::Absent,
            Some(Slot::Vary(index)) => match self.select(key, &index, request) {
                Some(Slot::Response(response)) => self.found(response, now),
                Some(Slot::Partial(part)) => self.found_part(part, now),
                _ => Lookup::VaryMiss(index),
            },
        }
    }

    fn found(&self, response: Arc<StoredResponse>, now: Timestamp) -> Lookup {
        if self.ledger.vouches_for(response.head.response_time, now) { Lookup::Found(response) } else { Lookup::Unvouched(response) }
    }

    /// A part that nobody vouches for is fetched anew: it is not worth a validation.
    fn found_part(&self, part: Arc<StoredPart>, now: Timestamp) -> Lookup {
        if self.ledger.vouches_for(part.meta.head.response_time, now) { Lookup::Partial(part) } else { Lookup::Absent }
    }

    fn select(&self, key: SlotKey<'_>, index: &VaryIndex, request: &HeaderMap) -> Option<Slot> {
        let mut best: Option<Slot> = None;
        for spec in index.specs() {
            let found = SECONDARY.with_borrow_mut(|secondary| {
                secondary.clear();
                spec.write_secondary_key(request, secondary);
                let slot = self.get(self.placement.variant(key.hash, secondary), key.text);
                slot.filter(|slot| slot.variant().is_some_and(|variant| variant.secondary.text() == secondary))
            });
            let Some(slot) = found else { continue };
            if best.as_ref().is_none_or(|other| slot.date() > other.date()) {
                best = Some(slot);
            }
        }
        best
    }

    /// All that is stored whole for a resource: the one response, or its variants.
    pub fn variants(&self, key: SlotKey<'_>) -> Vec<Arc<StoredResponse>> {
        let of = |hash| match self.get(hash, key.text) {
            Some(Slot::Response(response)) => Some(response),
            _ => None,
        };
        match self.get(key.hash, key.text) {
            Some(Slot::Response(response)) => vec![response],
            Some(Slot::Vary(index)) => index.variants().iter().filter_map(|hash| of(*hash)).collect(),
            Some(Slot::Partial(_) | Slot::HitForMiss(_)) | None => Vec::new(),
        }
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
        if slot.is_invalid(&self.ledger) {
            // Unless it was replaced meanwhile.
            self.drop_fetch(hash, slot.fetch());
            return None;
        }
        Some(slot)
    }

    /// Stores a response. Refused, with `false`, when it was invalidated meanwhile or a later fetch already left its mark.
    pub fn commit(&self, response: Arc<StoredResponse>) -> bool {
        // Told first: an invalidation from now on keeps its records for as long as this response may be served.
        self.ledger.concern(response.head.usable_for());
        if !response.is_valid(&self.ledger) {
            return false;
        }
        let primary = self.placement.of_text(response.key.text()).hash;
        let _turn = self.turn(primary);
        self.put(primary, Slot::Response(response))
    }

    /// Puts a representation where its primary key, or its variant, says. With the turn of its primary key.
    fn put(&self, primary: KeyHash, slot: Slot) -> bool {
        let Some(variant) = slot.variant() else {
            return self.replace(primary, slot);
        };
        let hash = self.placement.variant(primary, variant.secondary.text());
        let (key, spec, fetch) = (slot.key().clone(), variant.spec.clone(), slot.fetch());
        if !self.replace(hash, slot) {
            return false;
        }
        let mut index = match self.slots.peek(&primary) {
            Some(Slot::Vary(index)) if *index.key() == key => (*index).clone(),
            _ => VaryIndex::new(key),
        };
        for old in index.add(&spec, hash, fetch) {
            self.count_removed(self.slots.remove(&old));
        }
        self.slots.insert(primary, Slot::Vary(Arc::new(index)));
        true
    }

    /// Where requests with these fields are collapsed: at their variant's place, as far as it is known which one that is.
    pub fn flight_hash(&self, key: SlotKey<'_>, found: &Lookup, request: &HeaderMap) -> KeyHash {
        match found {
            Lookup::Found(response) | Lookup::Unvouched(response) => self.place_of(key.hash, response.variant.as_ref()),
            Lookup::Partial(part) => self.place_of(key.hash, part.variant.as_ref()),
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
    /// A resource with variants is left alone: one variant that cannot be shared says nothing about the others. So is a part of what is
    /// too large to be kept whole.
    pub fn mark_hit_for_miss(&self, mark: HitForMiss) -> bool {
        let primary = self.placement.of_text(mark.key.text()).hash;
        let _turn = self.turn(primary);
        match self.slots.peek(&primary) {
            Some(Slot::Vary(index)) if *index.key() == mark.key => return false,
            Some(Slot::Partial(part)) if mark.too_large && part.key == mark.key && part.is_valid(&self.ledger) => return false,
            _ => {}
        }
        self.replace(primary, Slot::HitForMiss(Arc::new(mark)))
    }

    /// Drops a stored response that its origin no longer stands for.
    pub fn remove(&self, response: &StoredResponse) {
        self.remove_representation(&response.key, response.variant.as_ref(), response.fetch);
    }

    fn remove_representation(&self, key: &PrimaryKey, variant: Option<&Variant>, fetch: u64) {
        let primary = self.placement.of_text(key.text()).hash;
        let _turn = self.turn(primary);
        self.drop_fetch(self.place_of(primary, variant), fetch);
    }

    fn place_of(&self, primary: KeyHash, variant: Option<&Variant>) -> KeyHash {
        variant.map_or(primary, |variant| self.placement.variant(primary, variant.secondary.text()))
    }

    /// Drops a representation that came of one fetch, and no later one.
    fn drop_fetch(&self, hash: KeyHash, fetch: u64) {
        let is_it = |slot: &Slot| matches!(slot, Slot::Response(_) | Slot::Partial(_)) && slot.fetch() == fetch;
        self.count_removed(self.slots.remove_if(&hash, is_it));
    }

    fn count_removed(&self, removed: Option<(KeyHash, Slot)>) {
        self.evictions.removed.fetch_add(u64::from(removed.is_some()), Ordering::Relaxed);
    }

    /// How many entries an invalidation would concern: an estimate from a sample, which holds nobody up.
    pub fn estimate(&self, invalidation: &Invalidation) -> u64 {
        let trial = Ledger::default();
        trial.apply(invalidation, Timestamp::from_secs(0));
        let (mut sampled, mut concerned) = (0_u64, 0_u64);
        for (_, slot) in self.slots.iter().take(SAMPLE) {
            sampled += 1;
            if let Slot::Response(response) = &slot {
                let subject = Subject { url: response.key.url(), tags: &response.tags };
                concerned += u64::from(response.is_valid(&self.ledger) && trial.check(&subject, Position(0)) != Validity::Valid);
            }
        }
        let entries = (self.slots.len() as u64).max(sampled);
        if sampled < SAMPLE as u64 { concerned } else { (u128::from(concerned) * u128::from(entries) / u128::from(sampled)) as u64 }
    }

    /// Figures for metrics.
    pub fn stats(&self) -> MemoryStats {
        let count = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        MemoryStats {
            entries: self.slots.len() as u64,
            bytes: self.slots.weight(),
            capacity: self.capacity,
            evictions: Evictions {
                size: count(&self.evictions.size),
                removed: count(&self.evictions.removed),
                replaced: count(&self.evictions.replaced),
            },
        }
    }

    /// Puts a slot in, unless a fetch that began later already wrote this one.
    fn replace(&self, hash: KeyHash, slot: Slot) -> bool {
        let current = self.slots.peek(&hash);
        if current.as_ref().is_some_and(|current| current.key() == slot.key() && current.fetch() > slot.fetch()) {
            return false;
        }
        self.evictions.replaced.fetch_add(u64::from(current.is_some()), Ordering::Relaxed);
        self.slots.insert(hash, slot);
        true
    }

    fn turn(&self, hash: KeyHash) -> MutexGuard<'_, ()> {
        let stripe = hash as usize % self.writers.len();
        self.writers[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As many shards as leave each with room for a few of the largest entries.
fn shards(capacity: u64, largest: u64) -> usize {
    let fitting = capacity / (largest.max(1) * LARGEST_PER_SHARD);
    // The map would round up.
    let power = fitting.clamp(1, MAX_SHARDS).ilog2();
    1 << power
}

/// What a slot takes.
#[derive(Clone, Copy, Debug)]
struct Weight;

impl Weighter<KeyHash, Slot> for Weight {
    fn weight(&self, _: &KeyHash, slot: &Slot) -> u64 {
        (slot.weight() + ENTRY_OVERHEAD) as u64
    }
}

/// Counts what had to make room, and drops it after the lock was released.
#[derive(Clone, Debug)]
struct Departures(Arc<EvictionCells>);

impl Lifecycle<KeyHash, Slot> for Departures {
    type RequestState = Vec<Slot>;

    fn on_evict(&self, leaving: &mut Vec<Slot>, _: KeyHash, slot: Slot) {
        self.0.size.fetch_add(1, Ordering::Relaxed);
        leaving.push(slot);
    }
}

/// Placements are hashes already: the hasher for maps by [`KeyHash`].
#[derive(Debug, Default)]
pub struct Placed(u64);

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

mod parts;
#[cfg(test)]
mod tests;
