//! Walks over what is stored, for people who look. No look-up waits for one: a shard is locked for reading, and for one entry at a time.

use super::MemoryStore;
use super::key_hash::SlotKey;
use super::slot::Slot;

impl MemoryStore {
    /// Every slot that is there when the walk comes by, in no order: at most `max` of them. Whether there are more.
    pub fn walk(&self, max: usize, mut visit: impl FnMut(&Slot)) -> bool {
        let mut slots = self.slots.iter();
        slots.by_ref().take(max).for_each(|(_, slot)| visit(&slot));
        slots.next().is_some()
    }

    /// All that lies under a primary key, valid or not: what answers without `Vary`, or the index of the variants with each of them behind it.
    /// It counts as no use.
    pub fn slots_of(&self, key: SlotKey<'_>) -> Vec<Slot> {
        let bytes = key.text.as_bytes();
        let Some(first) = self.current(key.hash, bytes) else { return Vec::new() };
        let variants = match &first {
            Slot::Vary(index) => index.variants().iter().filter_map(|hash| self.current(*hash, bytes)).collect(),
            Slot::Response(_) | Slot::Partial(_) | Slot::HitForMiss(_) => Vec::new(),
        };
        std::iter::once(first).chain(variants).collect()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::super::tests::{find, response, store};
    use crate::entry::fixtures::{NOW, key};
    use crate::ledger::{Invalidation, InvalidationTarget};
    use crate::memory::{Departure, Lookup};

    #[test]
    fn a_walk_is_bounded_and_says_whether_there_is_more() {
        let store = store();
        for path in ["/a", "/b", "/c"] {
            assert!(store.commit(response(path, 1, store.ledger().position())));
        }
        for (max, seen, more) in [(2, 2, true), (3, 3, false), (9, 3, false)] {
            let mut count = 0;
            assert_eq!((store.walk(max, |_| count += 1), count), (more, seen), "{max}");
        }
    }

    #[test]
    fn whoever_only_looks_removes_nothing_and_sees_what_a_request_would_find() {
        let store = store();
        assert!(store.commit(response("/a", 1, store.ledger().position())));
        let key = key("/a");
        let peek = || store.peek(store.slot_key_of(&key), &HeaderMap::new(), NOW);
        assert!(matches!(peek(), Lookup::Found(_)));
        store.ledger().apply(&Invalidation::hard([InvalidationTarget::Url(key.url().to_owned())]), NOW);
        assert!(matches!(peek(), Lookup::Absent(Departure::Purged)));
        assert_eq!((store.stats().entries, store.slots_of(store.slot_key_of(&key)).len()), (1, 1));
        assert!(matches!(find(&store, "/a", &HeaderMap::new()), Lookup::Absent(Departure::Purged)));
        assert_eq!(store.stats().entries, 0);
    }
}
