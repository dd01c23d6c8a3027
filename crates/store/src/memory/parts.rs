//! Parts in the memory tier: they are joined as they arrive, and become a complete response once nothing is missing (RFC 9111 §3.4).

use std::sync::Arc;

use super::MemoryStore;
use super::slot::Slot;
use crate::entry::StoredPart;

impl MemoryStore {
    /// Stores a part together with what is already there of the same representation, in at most `max` bytes. Refused, with `false`, where
    /// the whole is there, and otherwise like [`Self::commit`].
    pub fn commit_part(&self, part: StoredPart, max: u64) -> bool {
        self.ledger.concern(part.meta.head.usable_for());
        if !part.is_valid(&self.ledger) {
            return false;
        }
        let primary = self.hasher.of_text(part.key.as_bytes());
        let _lock = self.write_lock(primary);
        let current = self.slots.peek(&self.hash_of(primary, part.variant.as_ref()));
        let current = current.filter(|slot| {
            slot.key_bytes() == part.key.as_bytes() && slot.variant() == part.variant.as_ref() && !slot.is_invalid(&self.ledger)
        });
        let joined = match &current {
            Some(Slot::Response(_)) => return false,
            Some(Slot::Partial(known)) if known.fetch > part.fetch => part.joined(known, max),
            Some(Slot::Partial(known)) => known.joined(&part, max),
            _ => None,
        };
        let part = joined.unwrap_or(part);
        let slot = part.complete().map_or_else(|| Slot::Partial(Arc::new(part)), |whole| Slot::Response(Arc::new(whole)));
        self.put(primary, slot)
    }

    /// Drops a part that its origin no longer stands for.
    pub fn remove_part(&self, part: &StoredPart) {
        self.remove_representation(part.key.as_bytes(), part.variant.as_ref(), part.fetch);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use larder_semantics::VarySpec;
    use larder_semantics::range::{ByteRange, ByteRangeSet, PartialResponse};

    use super::super::tests::{find, found, response, store};
    use super::*;
    use crate::entry::fixtures::{NOW, accepting, by_flavour, head, key};
    use crate::entry::{BodyBuilder, Variant};
    use crate::ledger::{Invalidation, InvalidationTarget};
    use crate::memory::Lookup;
    use crate::memory::slot::HitForMiss;
    use crate::weight;

    const LENGTH: u64 = 100;

    fn bytes(range: ByteRange) -> Vec<u8> {
        (range.first..=range.last).map(|index| index as u8).collect()
    }

    fn part_of(tag: &'static str, first: u64, last: u64, variant: Option<Variant>, fetch: u64) -> StoredPart {
        let range = ByteRange { first, last };
        let mut coverage = ByteRangeSet::default();
        coverage.insert(range);
        let vary = variant.as_ref().map(|variant| variant.spec.clone());
        let meta = PartialResponse { head: head(NOW, Some(tag)), vary, complete_length: LENGTH, coverage };
        let mut body = BodyBuilder::new(range.length());
        body.push(&bytes(range));
        let body = body.finish(None).expect("complete");
        let key = key("/a");
        let tags = [].into();
        StoredPart::new(key, variant, meta, body, tags, Default::default(), fetch).expect("one range")
    }

    fn part(first: u64, last: u64, fetch: u64) -> StoredPart {
        part_of("\"1\"", first, last, None, fetch)
    }

    fn stored_part(store: &MemoryStore) -> Option<Arc<StoredPart>> {
        match find(store, "/a", &HeaderMap::new()) {
            Lookup::Partial(part) => Some(part),
            _ => None,
        }
    }

    fn spans(part: &StoredPart) -> Vec<(u64, u64)> {
        part.meta.coverage.ranges().iter().map(|range| (range.first, range.last)).collect()
    }

    fn text(part: &StoredPart, range: ByteRange) -> Option<Vec<u8>> {
        Some(part.bodies(range)?.flat_map(|(body, within)| body.slice(within.start, within.end)).flatten().collect())
    }

    #[test]
    fn rfc9111_3_4_parts_are_joined_and_give_their_own_bytes() {
        let store = store();
        for (first, last, fetch) in [(0, 19, 1), (40, 59, 2), (10, 49, 3)] {
            assert!(store.commit_part(part(first, last, fetch), 1 << 10));
        }
        let joined = stored_part(&store).expect("a part");
        assert_eq!(spans(&joined), [(0, 59)]);
        for (first, last) in [(0, 59), (5, 12), (19, 20), (48, 51)] {
            let range = ByteRange { first, last };
            assert_eq!(text(&joined, range), Some(bytes(range)), "{range:?}");
        }
        assert_eq!(text(&joined, ByteRange { first: 50, last: 60 }), None);
    }

    #[test]
    fn rfc9111_3_4_a_part_with_every_byte_is_a_complete_response() {
        let store = store();
        store.commit_part(part(50, 99, 1), 1 << 10);
        assert!(found(find(&store, "/a", &HeaderMap::new())).is_none());
        store.commit_part(part(0, 60, 2), 1 << 10);
        let whole = found(find(&store, "/a", &HeaderMap::new())).expect("complete");
        assert_eq!(whole.body().segments().concat(), bytes(ByteRange { first: 0, last: LENGTH - 1 }));
        assert!(!store.commit_part(part(0, 9, 3), 1 << 10), "a part says less than the whole");
    }

    #[test]
    fn rfc9110_15_3_7_3_parts_of_another_representation_take_the_place() {
        let store = store();
        store.commit_part(part(0, 9, 1), 1 << 10);
        store.commit_part(part_of("\"2\"", 20, 29, None, 3), 1 << 10);
        assert_eq!(stored_part(&store).map(|part| spans(&part)), Some(vec![(20, 29)]));
        assert!(!store.commit_part(part(30, 39, 2), 1 << 10), "an earlier fetch of what was replaced");
        assert_eq!(stored_part(&store).map(|part| spans(&part)), Some(vec![(20, 29)]));
    }

    #[test]
    fn a_part_that_comes_late_is_joined_under_the_later_head() {
        let store = store();
        store.commit_part(part(0, 9, 5), 1 << 10);
        assert!(store.commit_part(part(5, 19, 4), 1 << 10));
        let joined = stored_part(&store).expect("a part");
        assert_eq!((spans(&joined), joined.fetch), (vec![(0, 19)], 5));
    }

    #[test]
    fn the_bytes_of_one_resource_are_bounded_and_the_oldest_go() {
        let store = store();
        for (fetch, first) in [0, 20, 40, 60].into_iter().enumerate() {
            store.commit_part(part(first, first + 19, fetch as u64 + 1), 50);
        }
        assert_eq!(stored_part(&store).map(|part| spans(&part)), Some(vec![(40, 79)]));
    }

    #[test]
    fn an_invalidation_concerns_parts_too() {
        let store = store();
        store.commit_part(part(0, 9, 1), 1 << 10);
        store.ledger().apply(&Invalidation::hard([InvalidationTarget::Url(key("/a").url().to_owned())]), NOW);
        assert!(stored_part(&store).is_none());
        assert_eq!(store.stats().entries, 0);
        assert!(!store.commit_part(part(10, 19, 2), 1 << 10), "its fetch began before");
    }

    #[test]
    fn purges_of_other_things_are_remembered_for_as_long_as_a_part_may_be_served() {
        let store = store();
        let mut part = part(0, 9, 1);
        part.meta.head.lifetime.seconds = 86_400;
        store.commit_part(part, 1 << 10);
        for seconds in [0, 1, 700] {
            let now = larder_semantics::Timestamp::from_millis(NOW.as_millis() + seconds * 1_000);
            store.ledger().apply(&Invalidation::tag("other"), now);
        }
        assert!(stored_part(&store).is_some());
    }

    #[test]
    fn rfc9111_4_1_a_part_is_found_by_its_selecting_fields() {
        let store = store();
        let spec: VarySpec = by_flavour();
        let variant = Variant::of(spec, &accepting("sweet"));
        store.commit_part(part_of("\"1\"", 0, 9, Some(variant), 1), 1 << 10);
        assert!(matches!(find(&store, "/a", &accepting("sweet")), Lookup::Partial(_)));
        assert!(matches!(find(&store, "/a", &accepting("sour")), Lookup::VaryMiss(..)));
    }

    #[test]
    fn a_response_too_large_to_be_kept_whole_keeps_its_parts() {
        let store = store();
        let mark = |too_large| HitForMiss {
            key: key("/a"),
            until: larder_semantics::Timestamp::from_secs(2_000),
            too_large,
            of_credentials: false,
            fetch: 9,
        };
        store.commit_part(part(0, 9, 1), 1 << 10);
        assert!(!store.mark_hit_for_miss(mark(true), NOW));
        assert!(stored_part(&store).is_some());
        assert!(store.mark_hit_for_miss(mark(false), NOW));
        assert!(stored_part(&store).is_none());
    }

    #[test]
    fn a_whole_response_takes_the_place_of_its_parts() {
        let store = store();
        store.commit_part(part(0, 9, 1), 1 << 10);
        assert!(store.commit(response("/a", 2, store.ledger().position())));
        assert!(found(find(&store, "/a", &HeaderMap::new())).is_some());
    }

    #[test]
    fn a_part_weighs_what_it_holds() {
        let (one, two) = (part(0, 9, 1), part(20, 69, 2));
        let joined = one.joined(&two, 1 << 10).expect("one representation");
        assert!(joined.weight() >= 60 + weight::head(&one.meta.head), "{}", joined.weight());
        assert!(joined.weight() > two.weight());
    }
}
