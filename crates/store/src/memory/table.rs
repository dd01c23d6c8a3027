//! The map: quick_cache, with the weight of entries and the counting of evicted ones.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use super::figures::EvictionCells;
use super::key_hash::KeyHash;
use super::slot::Slot;

/// Bytes that the map keeps per entry besides what the slot points at, in bytes, measured over 100 000 entries: the slot, its links, its cell
/// in the table, and what a table that doubles leaves free.
const ENTRY_OVERHEAD: usize = 70;

/// Number of the largest entries that every shard has room for, so that one of them does not push everything else out.
const MIN_OBJECTS_PER_SHARD: u64 = 8;

/// Shards at most. Readers share a shard's lock, so a few are enough for many cores.
const MAX_SHARDS: u64 = 64;

/// Bytes of a typical entry: says how many keys that were pushed out are remembered, to be let in sooner when they come again.
const TYPICAL_ENTRY: u64 = 4096;

/// The slots.
pub(super) type Table = Cache<KeyHash, Slot, Weight, BuildHasherDefault<PassThroughHasher>, Departures>;

/// An empty one of at most `capacity` bytes, for entries of up to `max_object` bytes.
pub(super) fn table(capacity: u64, max_object: u64, evictions: Arc<EvictionCells>) -> Table {
    let options = OptionsBuilder::new()
        .weight_capacity(capacity)
        .estimated_items_capacity((capacity / TYPICAL_ENTRY) as usize)
        .shards(shards(capacity, max_object))
        .build()
        .expect("both capacities are given");
    Cache::with_options(options, Weight, BuildHasherDefault::default(), Departures(evictions))
}

/// As many shards as can each hold a few of the largest entries.
fn shards(capacity: u64, max_object: u64) -> usize {
    let fitting = capacity / max_object.max(1).saturating_mul(MIN_OBJECTS_PER_SHARD);
    // The map would round up.
    let power = fitting.clamp(1, MAX_SHARDS).ilog2();
    1 << power
}

/// The weight of a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight;

impl Weighter<KeyHash, Slot> for Weight {
    fn weight(&self, _: &KeyHash, slot: &Slot) -> u64 {
        (slot.weight() + ENTRY_OVERHEAD) as u64
    }
}

/// Counts evicted entries, and drops them after the lock was released.
#[derive(Clone, Debug)]
pub(super) struct Departures(Arc<EvictionCells>);

impl Lifecycle<KeyHash, Slot> for Departures {
    type RequestState = Vec<Slot>;

    fn on_evict(&self, leaving: &mut Vec<Slot>, hash: KeyHash, slot: Slot) {
        self.0.size.fetch_add(1, Ordering::Relaxed);
        self.0.departed.evicted(hash, &slot);
        leaving.push(slot);
    }
}

/// The hasher for maps by [`KeyHash`], which is a hash already.
#[derive(Debug, Default)]
pub struct PassThroughHasher(u64);

impl Hasher for PassThroughHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_entry_there_could_be_overflows_nothing() {
        assert_eq!(shards(1 << 30, u64::MAX), 1);
        assert_eq!(shards(u64::MAX, 1), MAX_SHARDS as usize);
    }
}
