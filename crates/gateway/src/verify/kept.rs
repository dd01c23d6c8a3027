//! What would have been served, and how much of it.

use std::sync::Arc;

use bytes::Bytes;
use larder_semantics::range::ByteRange;
use larder_store::StoredResponse;
use larder_tower::{DryRun, Verdict};

/// A stored response that a request would have got.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) stored: Arc<StoredResponse>,
    /// Its age at that time, in seconds.
    pub(super) age: u32,
}

impl Kept {
    /// What a request would get now, where that is a stored response.
    pub(super) fn of(run: &DryRun) -> Option<Self> {
        let stored = run.selected.clone().filter(|_| matches!(run.verdict, Verdict::Hit { .. }))?;
        let age = stored.head.age(run.now);
        Some(Self { stored, age })
    }
}

impl From<(Arc<StoredResponse>, u32)> for Kept {
    fn from((stored, age): (Arc<StoredResponse>, u32)) -> Self {
        Self { stored, age }
    }
}

/// The part of a body that a client got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) range: ByteRange,
    /// The length of the whole.
    pub(super) total: u64,
}

impl Part {
    /// The same part of another whole. It is empty, which no part is, where the whole has another length.
    pub(super) fn of(self, whole: Bytes) -> Bytes {
        let bounds = usize::try_from(self.range.first).ok().zip(usize::try_from(self.range.last).ok());
        match bounds {
            Some((first, last)) if whole.len() as u64 == self.total && last < whole.len() => whole.slice(first..=last),
            _ => Bytes::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_whole_of_another_length_is_no_part() {
        let part = Part { range: ByteRange { first: 1, last: 3 }, total: 5 };
        assert_eq!(part.of(Bytes::from_static(b"abcde")), "bcd");
        assert!(part.of(Bytes::from_static(b"abcdef")).is_empty() && part.of(Bytes::from_static(b"ab")).is_empty());
        let beyond = Part { range: ByteRange { first: 1, last: 5 }, total: 5 };
        assert!(beyond.of(Bytes::from_static(b"abcde")).is_empty());
    }
}
