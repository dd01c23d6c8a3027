//! Which bytes of a representation are there.

use smallvec::SmallVec;

use super::parse::ByteRange;

/// A set of bytes: ranges in order that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByteRangeSet(SmallVec<[ByteRange; 4]>);

impl ByteRangeSet {
    /// The ranges, in order.
    pub fn ranges(&self) -> &[ByteRange] {
        &self.0
    }

    /// Adds a range, and joins it with those it overlaps or touches.
    pub fn insert(&mut self, range: ByteRange) {
        let touches = |known: &ByteRange| known.first <= range.last.saturating_add(1) && range.first <= known.last.saturating_add(1);
        let mut joined = range;
        self.0.retain(|known| {
            if touches(known) {
                joined = ByteRange { first: joined.first.min(known.first), last: joined.last.max(known.last) };
            }
            !touches(known)
        });
        let index = self.0.partition_point(|known| known.first < joined.first);
        self.0.insert(index, joined);
    }

    /// Whether all bytes of `range` are there.
    pub fn contains(&self, range: ByteRange) -> bool {
        self.0.iter().any(|known| known.first <= range.first && range.last <= known.last)
    }

    /// Whether all bytes of a representation of `complete_length` bytes are there.
    pub fn is_complete(&self, complete_length: u64) -> bool {
        complete_length.checked_sub(1).is_none_or(|last| self.contains(ByteRange { first: 0, last }))
    }

    /// The shortest range that holds every byte of `range` that is not there.
    pub fn missing(&self, range: ByteRange) -> Option<ByteRange> {
        let around = |byte| self.0.iter().find(|known| (known.first..=known.last).contains(&byte));
        let mut missing = range;
        // Ranges do not touch, so the byte behind one is not there, nor is the one before it.
        if let Some(known) = around(range.first) {
            missing.first = known.last.checked_add(1).filter(|&first| first <= range.last)?;
        }
        if let Some(known) = around(range.last) {
            missing.last = known.first.checked_sub(1)?;
        }
        Some(missing)
    }

    /// How many bytes are there.
    pub fn length(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, range| sum.saturating_add(range.length()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(ranges: &[(u64, u64)]) -> ByteRangeSet {
        let mut set = ByteRangeSet::default();
        ranges.iter().for_each(|&(first, last)| set.insert(ByteRange { first, last }));
        set
    }

    fn spans(set: &ByteRangeSet) -> Vec<(u64, u64)> {
        set.ranges().iter().map(|range| (range.first, range.last)).collect()
    }

    #[test]
    fn ranges_that_overlap_or_touch_are_joined() {
        assert_eq!(spans(&set(&[(10, 19), (0, 4)])), [(0, 4), (10, 19)]);
        assert_eq!(spans(&set(&[(10, 19), (0, 4), (5, 9)])), [(0, 19)]);
        assert_eq!(spans(&set(&[(0, 4), (10, 14), (20, 24), (3, 21)])), [(0, 24)]);
        assert_eq!(spans(&set(&[(0, u64::MAX), (5, 6)])), [(0, u64::MAX)]);
    }

    #[test]
    fn an_empty_representation_is_always_complete() {
        assert!(set(&[]).is_complete(0));
        assert!(!set(&[]).is_complete(1));
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_set_of_bytes(ranges in prop::collection::vec((0_u64..40, 0_u64..8), 0..8), first in 0_u64..40, length in 0_u64..12) {
            let ranges: Vec<_> = ranges.into_iter().map(|(first, length)| (first, first + length)).collect();
            let found = set(&ranges);
            let there = |byte: u64| ranges.iter().any(|&(first, last)| (first..=last).contains(&byte));
            let wanted = ByteRange { first, last: first + length };
            prop_assert_eq!(found.length(), (0..60).filter(|&byte| there(byte)).count() as u64);
            prop_assert_eq!(found.contains(wanted), (wanted.first..=wanted.last).all(there));
            let absent: Vec<u64> = (wanted.first..=wanted.last).filter(|&byte| !there(byte)).collect();
            let hull = absent.first().zip(absent.last()).map(|(&first, &last)| ByteRange { first, last });
            prop_assert_eq!(found.missing(wanted), hull);
        }
    }
}
