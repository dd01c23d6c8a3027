//! The memory tier: quick_cache behind one file.
//!
//! Entries have lifetimes and the map has none: stale entries stay, because they can be validated or served stale. An invalidated entry is
//! removed when it is next looked up, or when its room is needed.

mod departed;
mod figures;
mod key_hash;
mod lookup;
mod parts;
mod slot;
mod table;
#[cfg(test)]
mod tests;
mod vary_index;
mod walk;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_semantics::storage::refuses_the_request;
use larder_semantics::{KeyBuffer, PrimaryKey, StoredHead, Timestamp};

use crate::entry::{PackedBody, StoredResponse, Variant};
use crate::ledger::Ledger;
pub use departed::Departure;
use figures::EvictionCells;
pub use figures::{Evictions, MemoryStats, Selection};
use key_hash::KeyHasher;
pub use key_hash::{KeyHash, SlotKey};
pub use lookup::Lookup;
pub use slot::{HitForMiss, Slot};
pub use table::PassThroughHasher;
use table::{Table, table};
pub use vary_index::{MAX_VARIANTS, VaryIndex};

/// The part of the capacity that entries may always take.
const MIN_SHARE_DIVISOR: u64 = 4;

/// The parts in which the capacity is divided between entries and what is no entry.
const SHARES: u64 = 256;

/// Locks that order the writers of one key. Readers never take them.
const WRITE_STRIPES: usize = 64;

/// See the module's page.
#[derive(Debug)]
pub struct MemoryStore {
    slots: Table,
    capacity: u64,
    /// The part of it that entries may take now.
    room: AtomicU64,
    hasher: KeyHasher,
    ledger: Arc<Ledger>,
    writers: Box<[Mutex<()>]>,
    evictions: Arc<EvictionCells>,
}

impl MemoryStore {
    /// A store of at most `capacity` bytes, keys, heads and bookkeeping included, made for entries of up to `max_object` bytes: those always
    /// fit, unless they are larger than the whole store.
    pub fn new(capacity: u64, max_object: u64, ledger: Arc<Ledger>) -> Self {
        let evictions = Arc::new(EvictionCells::default());
        let slots = table(capacity, max_object, Arc::clone(&evictions));
        let writers = (0..WRITE_STRIPES).map(|_| Mutex::default()).collect();
        Self { slots, capacity, room: AtomicU64::new(capacity), hasher: KeyHasher::random(), ledger, writers, evictions }
    }

    /// Reserves so many bytes of the capacity for other uses than entries. A quarter of it stays for entries in any case.
    pub fn leave_room(&self, bytes: u64) {
        let share = (self.capacity / SHARES).max(1);
        let room = self.capacity.saturating_sub(bytes / share * share).max(self.capacity / MIN_SHARE_DIVISOR);
        // It takes the locks of all shards, so small changes are ignored.
        if self.room.swap(room, Ordering::Relaxed) != room {
            self.slots.set_capacity(room);
        }
    }

    /// Whether an entry of so many bytes would fit if the store were made for it, and does not as it is.
    pub fn is_divided_too_finely_for(&self, bytes: u64) -> bool {
        self.slots.num_shards() > 1 && bytes >= self.slots.shard_capacity()
    }

    /// The ledger that its entries are checked against.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// A derived key with its hash.
    pub fn slot_key<'a>(&self, key: &'a KeyBuffer) -> SlotKey<'a> {
        SlotKey { text: key.text(), hash: self.hasher.of_text(key.text().as_bytes()) }
    }

    /// A stored key with its hash.
    pub fn slot_key_of<'a>(&self, key: &'a PrimaryKey) -> SlotKey<'a> {
        SlotKey { text: key.text(), hash: self.hasher.of_text(key.as_bytes()) }
    }

    /// Stores a response. Refused, with `false`, when it was invalidated meanwhile, a later fetch already left its mark, or it is the refusal
    /// of one request or a server error and what is stored is better.
    pub fn commit(&self, response: Arc<StoredResponse>) -> bool {
        // First, so that the ledger keeps every later invalidation for as long as this response may be served.
        self.ledger.concern(response.head.usable_for());
        if !response.is_valid(&self.ledger) {
            return false;
        }
        let primary = self.hasher.of_text(response.key_bytes());
        self.evictions.departed.tick(response.head.response_time);
        let _lock = self.write_lock(primary);
        if self.would_replace_better(primary, &response) {
            return false;
        }
        self.put(primary, Slot::Response(response))
    }

    /// Whether a response would replace a better one: the refusal of one request a fresh one, since otherwise any client could replace it by
    /// sending a field that the origin rejects; and a server error one that may still be served, stale included.
    fn would_replace_better(&self, primary: KeyHash, response: &StoredResponse) -> bool {
        let (status, now) = (response.head.status, response.head.response_time);
        let (refuses, fails) = (refuses_the_request(status), status.is_server_error());
        if !refuses && !fails {
            return false;
        }
        let is_better = |hash| match self.current(hash, response.key_bytes()) {
            Some(Slot::Response(other)) => {
                let says_something = !refuses_the_request(other.head.status) && !other.head.status.is_server_error();
                let serves = if fails { is_usable(&other.head, now) } else { other.head.staleness(now).is_none() };
                says_something && serves && other.is_valid(&self.ledger)
            }
            _ => false,
        };
        let variants = match self.current(primary, response.key_bytes()) {
            Some(Slot::Vary(index)) if response.variant().is_none() => index.variants().to_vec(),
            _ => Vec::new(),
        };
        is_better(primary) || is_better(self.hash_of(primary, response.variant())) || variants.into_iter().any(is_better)
    }

    /// Stores a representation under its primary key or its variant. The caller holds the write lock of the primary key.
    fn put(&self, primary: KeyHash, slot: Slot) -> bool {
        if slot.variant().is_some() {
            return self.put_variant(primary, slot);
        }
        let current = self.current(primary, slot.key_bytes());
        if !self.replace(primary, slot) {
            return false;
        }
        if let Some(Slot::Vary(index)) = current {
            // They are older than this response without `Vary`, and a later index would find them again.
            index.variants().iter().for_each(|old| self.count_removed(self.slots.remove(old)));
        }
        true
    }

    fn put_variant(&self, primary: KeyHash, slot: Slot) -> bool {
        let Some(variant) = slot.variant() else { return false };
        let hash = self.hasher.variant(primary, variant.secondary.text());
        let (spec, fetch) = (variant.spec.clone(), slot.fetch());
        let mut index = match self.current(primary, slot.key_bytes()) {
            Some(Slot::Vary(index)) => (*index).clone(),
            // A later fetch has shown that there is no `Vary`, or that the answers cannot be shared.
            Some(current) if current.fetch() > fetch => return false,
            _ => VaryIndex::new(slot.key_bytes()),
        };
        if !self.replace(hash, slot) {
            return false;
        }
        index.add(&spec, hash, fetch);
        while let Some(old) = index.take_least_used(|hash| self.take_use(hash)) {
            self.count_removed(self.slots.remove(&old));
        }
        self.slots.insert(primary, Slot::Vary(Arc::new(index)));
        true
    }

    /// The slot for this key under a hash, without counting as a use of it.
    fn current(&self, hash: KeyHash, key: &[u8]) -> Option<Slot> {
        self.slots.peek(&hash).filter(|slot| slot.key_bytes() == key)
    }

    /// Takes one of the uses that a variant is credited with. `false` where it has none.
    fn take_use(&self, hash: KeyHash) -> bool {
        matches!(self.slots.peek(&hash), Some(Slot::Response(response)) if response.take_use())
    }

    /// Remembers that a key's answers cannot be shared, and drops what is stored for it. Later fetches win, as with [`Self::commit`].
    /// A resource with variants is left alone: one variant that cannot be shared says nothing about the others. So is a part of what is
    /// too large to be kept whole.
    pub fn mark_hit_for_miss(&self, mark: HitForMiss, now: Timestamp) -> bool {
        let primary = self.hasher.of_text(mark.key.as_bytes());
        let _lock = self.write_lock(primary);
        match self.current(primary, mark.key.as_bytes()) {
            Some(Slot::Vary(_)) => return false,
            Some(Slot::Partial(part)) if mark.too_large && part.is_valid(&self.ledger) => return false,
            // An answer to credentials is about that client only.
            Some(current) if mark.of_credentials && self.is_of_use(&current, now) => return false,
            _ => {}
        }
        self.replace(primary, Slot::HitForMiss(Arc::new(mark)))
    }

    /// Whether requests may be answered from it now, fresh or stale.
    fn is_of_use(&self, slot: &Slot, now: Timestamp) -> bool {
        let head = match slot {
            _ if slot.is_invalid(&self.ledger) => return false,
            Slot::Response(response) => &response.head,
            Slot::Partial(part) => &part.meta.head,
            Slot::Vary(_) | Slot::HitForMiss(_) => return false,
        };
        is_usable(head, now)
    }

    /// Holds the body of a stored response in fewer bytes, unless another one is stored meanwhile. If it does: the response that it held, and the one that
    /// it holds now.
    pub fn pack(&self, response: &StoredResponse, packed: PackedBody) -> Option<(Arc<StoredResponse>, Arc<StoredResponse>)> {
        let primary = self.hasher.of_text(response.key_bytes());
        let hash = self.hash_of(primary, response.variant());
        let _lock = self.write_lock(primary);
        match self.current(hash, response.key_bytes()) {
            // Its head may have been renewed: the body is the same as long as it came with the same fetch.
            Some(Slot::Response(current)) if current.body_fetch() == response.body_fetch() && !current.is_packed() => {
                let held = Arc::new(current.with_packed_body(packed));
                self.slots.insert(hash, Slot::Response(Arc::clone(&held)));
                Some((current, held))
            }
            _ => None,
        }
    }

    /// Drops a stored response that its origin no longer stands for.
    pub fn remove(&self, response: &StoredResponse) {
        self.remove_representation(response.key_bytes(), response.variant(), response.fetch);
    }

    fn remove_representation(&self, key: &[u8], variant: Option<&Variant>, fetch: u64) {
        let primary = self.hasher.of_text(key);
        let _lock = self.write_lock(primary);
        self.drop_fetch(self.hash_of(primary, variant), fetch);
    }

    fn hash_of(&self, primary: KeyHash, variant: Option<&Variant>) -> KeyHash {
        variant.map_or(primary, |variant| self.hasher.variant(primary, variant.secondary.text()))
    }

    /// Drops a representation, unless a later fetch has replaced it.
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

    fn write_lock(&self, hash: KeyHash) -> MutexGuard<'_, ()> {
        let stripe = hash as usize % self.writers.len();
        self.writers[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether requests may be answered without asking the origin, fresh or stale.
fn is_usable(head: &StoredHead, now: Timestamp) -> bool {
    now.as_millis() < head.response_time.as_millis().saturating_add(head.usable_for())
}
