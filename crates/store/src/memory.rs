//! The memory tier: quick_cache behind one file.
//!
//! Lifetimes live in the entries, not in the map: what is stale must stay, for validation and for stale answers. What is dead or
//! invalidated goes when it is next looked up, or when room is needed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_semantics::{KeyBuffer, PrimaryKey};

use crate::ledger::Ledger;
use crate::response::{StoredResponse, Variant};
use crate::slot::{HitForMiss, KeyHash, Placement, Slot, SlotKey};
use crate::vary_index::VaryIndex;
use figures::EvictionCells;
pub use figures::{Evictions, MemoryStats};
pub use lookup::Lookup;
pub use table::Placed;
use table::{Table, table};

/// Locks that order the writers of one key. Readers never take them.
const WRITE_STRIPES: usize = 64;

/// See the module's page.
#[derive(Debug)]
pub struct MemoryStore {
    slots: Table,
    capacity: u64,
    placement: Placement,
    ledger: Arc<Ledger>,
    writers: Box<[Mutex<()>]>,
    evictions: Arc<EvictionCells>,
}

impl MemoryStore {
    /// A store of at most `capacity` bytes, keys, heads and bookkeeping included, made for entries of up to `largest` bytes: those always
    /// fit, unless they are larger than the whole store.
    pub fn new(capacity: u64, largest: u64, ledger: Arc<Ledger>) -> Self {
        let evictions = Arc::new(EvictionCells::default());
        let slots = table(capacity, largest, Arc::clone(&evictions));
        let writers = (0..WRITE_STRIPES).map(|_| Mutex::default()).collect();
        Self { slots, capacity, placement: Placement::random(), ledger, writers, evictions }
    }

    /// The ledger that its entries are checked against.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Where a derived key is placed.
    pub fn place<'a>(&self, key: &'a KeyBuffer) -> SlotKey<'a> {
        SlotKey { text: key.text(), hash: self.placement.of_text(key.text().as_bytes()) }
    }

    /// Where a kept key is placed.
    pub fn place_key<'a>(&self, key: &'a PrimaryKey) -> SlotKey<'a> {
        SlotKey { text: key.text(), hash: self.placement.of_text(key.as_bytes()) }
    }

    /// Stores a response. Refused, with `false`, when it was invalidated meanwhile or a later fetch already left its mark.
    pub fn commit(&self, response: Arc<StoredResponse>) -> bool {
        // Told first: an invalidation from now on keeps its records for as long as this response may be served.
        self.ledger.concern(response.head.usable_for());
        if !response.is_valid(&self.ledger) {
            return false;
        }
        let primary = self.placement.of_text(response.key_bytes());
        let _turn = self.turn(primary);
        self.put(primary, Slot::Response(response))
    }

    /// Puts a representation where its primary key, or its variant, says. With the turn of its primary key.
    fn put(&self, primary: KeyHash, slot: Slot) -> bool {
        let Some(variant) = slot.variant() else {
            return self.replace(primary, slot);
        };
        let hash = self.placement.variant(primary, variant.secondary.text());
        let (spec, fetch) = (variant.spec.clone(), slot.fetch());
        let mut index = match self.slots.peek(&primary) {
            Some(Slot::Vary(index)) if index.key().as_bytes() == slot.key_bytes() => (*index).clone(),
            _ => VaryIndex::new(slot.key_bytes()),
        };
        if !self.replace(hash, slot) {
            return false;
        }
        for old in index.add(&spec, hash, fetch) {
            self.count_removed(self.slots.remove(&old));
        }
        self.slots.insert(primary, Slot::Vary(Arc::new(index)));
        true
    }

    /// Remembers that a key's answers cannot be shared, and drops what is stored for it. Later fetches win, as with [`Self::commit`].
    /// A resource with variants is left alone: one variant that cannot be shared says nothing about the others. So is a part of what is
    /// too large to be kept whole.
    pub fn mark_hit_for_miss(&self, mark: HitForMiss) -> bool {
        let primary = self.placement.of_text(mark.key.as_bytes());
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
        self.remove_representation(response.key_bytes(), response.variant(), response.fetch);
    }

    fn remove_representation(&self, key: &[u8], variant: Option<&Variant>, fetch: u64) {
        let primary = self.placement.of_text(key);
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

    /// Puts a slot in, unless a fetch that began later already wrote this one.
    fn replace(&self, hash: KeyHash, slot: Slot) -> bool {
        let current = self.slots.peek(&hash);
        if current.as_ref().is_some_and(|current| current.key_bytes() == slot.key_bytes() && current.fetch() > slot.fetch()) {
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

mod figures;
mod lookup;
mod parts;
mod table;
#[cfg(test)]
pub(crate) mod tests;
