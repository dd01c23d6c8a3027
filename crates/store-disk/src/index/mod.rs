//! Where entries are: a table in memory, in shards of their own locks.
//!
//! A slot of the table takes 12 bytes, and at least four of seven are in use once a shard has grown, so an entry takes 21 bytes at most.
//! Keys are not in it: 38 bits of a key's hash are, and the key's text is compared when the entry is read. Of two keys that agree in
//! them, the one that was stored later is found.

mod location;
mod table;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use location::Location;
use table::Table;

const SHARDS: usize = 64;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Index(Box<[Mutex<Table>]>);

impl Index {
    pub(crate) fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::new(Table::default())).collect())
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Table> {
        self.0[(hash >> 58) as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the entry of this hash is.
    pub(crate) fn get(&self, hash: u64) -> Option<Location> {
        self.shard(hash).get(tag(hash))
    }

    /// As [`Self::get`], for a request: the entry counts as used.
    pub(crate) fn use_of(&self, hash: u64) -> Option<Location> {
        self.shard(hash).with(tag(hash), Location::used)
    }

    /// The entry is here now, whatever was known of it before.
    pub(crate) fn insert(&self, hash: u64, location: Location) {
        self.shard(hash).insert(tag(hash), location);
    }

    /// The entry is here, unless a later place is known. Whether it was taken.
    pub(crate) fn insert_if_absent(&self, hash: u64, location: Location) -> bool {
        let mut shard = self.shard(hash);
        let is_absent = shard.get(tag(hash)).is_none();
        if is_absent {
            shard.insert(tag(hash), location);
        }
        is_absent
    }

    /// The entry is gone.
    pub(crate) fn remove(&self, hash: u64) {
        self.shard(hash).remove_if(tag(hash), |_| true);
    }

    /// The entry is gone from this place, if it is still the one that is known.
    pub(crate) fn remove_at(&self, hash: u64, location: Location) {
        self.shard(hash).remove_if(tag(hash), |known| known.is_at(location));
    }

    /// How many entries are known.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// Bytes of memory that it takes.
    pub(crate) fn weight(&self) -> usize {
        self.0.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).weight()).sum()
    }
}

/// The bits of a hash that a shard knows it by. The shard itself is chosen by the six highest.
fn tag(hash: u64) -> u32 {
    (hash >> 26) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Spreads numbers as a hash does.
    fn hash(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    fn location(number: u32) -> Location {
        Location::new(number % 16_384, number % (1 << 22), 1 + number % 100)
    }

    #[test]
    fn an_entry_takes_at_most_24_bytes() {
        let index = Index::new();
        let mut worst = 0.0_f64;
        for number in 0..1_000_000_u32 {
            index.insert(hash(u64::from(number)), location(number));
            if number >= 99_999 && number % 10_000 == 9_999 {
                worst = worst.max(index.weight() as f64 / index.len() as f64);
            }
        }
        assert!(index.len() > 999_000, "{} of a million are told apart", index.len());
        assert!(worst <= 24.0, "{worst} bytes an entry");
    }

    #[test]
    fn a_later_place_is_not_removed_for_an_earlier_one() {
        let index = Index::new();
        index.insert(hash(1), location(1));
        index.insert(hash(1), location(2));
        index.remove_at(hash(1), location(1));
        assert!(index.get(hash(1)).is_some_and(|found| found.is_at(location(2))));
        assert!(!index.insert_if_absent(hash(1), location(3)) && index.insert_if_absent(hash(2), location(3)));
        index.remove_at(hash(1), location(2));
        assert_eq!((index.get(hash(1)), index.len()), (None, 1));
    }

    #[test]
    fn a_use_is_remembered_with_the_place() {
        let index = Index::new();
        index.insert(hash(1), location(1));
        assert!(!index.get(hash(1)).unwrap().is_hot());
        index.use_of(hash(1));
        assert!(index.get(hash(1)).unwrap().is_hot());
        index.insert(hash(1), location(2));
        assert!(!index.get(hash(1)).unwrap().is_hot(), "of another place it says nothing");
    }

    proptest! {
        /// The table is a map from the bits of a hash that it keeps.
        #[test]
        fn the_table_is_a_map(steps in prop::collection::vec((0_u64..200, 0_u32..1_000, 0..4), 1..2_000)) {
            let (index, mut model) = (Index::new(), HashMap::new());
            for (key, number, what) in steps {
                // Few tags in few shards, so that runs of neighbours come about.
                let hash = (key % 2) << 58 | (key * 7_919) << 26;
                if what == 0 {
                    index.remove(hash);
                    model.remove(&hash);
                } else {
                    index.insert(hash, location(number));
                    model.insert(hash, location(number));
                }
            }
            prop_assert_eq!(index.len(), model.len());
            for (hash, location) in &model {
                prop_assert_eq!(index.get(*hash), Some(*location));
            }
        }
    }
}
