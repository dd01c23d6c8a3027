//! Invalidations that this replica has put into the log lately.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder_store::Invalidation;

use super::form::encode;

/// Invalidations that are told again after the log has begun anew, and bytes of their forms.
const MOST_TOLD: usize = 1_000;
const MOST_TOLD_BYTES: usize = 4 << 20;

/// Of those that the log was given by this replica, the last. A master that has been cut off takes invalidations that its successor never
/// hears of: where the log begins anew, they are told again, which does no harm.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    /// Each with the bytes of its form.
    entries: VecDeque<(Invalidation, usize)>,
    bytes: usize,
}

impl Recent {
    pub(crate) fn add(&self, invalidation: Invalidation) {
        let bytes = encode(&invalidation).len();
        let mut last = self.lock();
        last.bytes += bytes;
        last.entries.push_back((invalidation, bytes));
        while last.entries.len() > MOST_TOLD || last.bytes > MOST_TOLD_BYTES {
            let Some((_, bytes)) = last.entries.pop_front() else { return };
            last.bytes -= bytes;
        }
    }

    /// All of them, to be told again.
    pub(crate) fn take(&self) -> Vec<Invalidation> {
        std::mem::take(&mut *self.lock()).entries.into_iter().map(|(invalidation, _)| invalidation).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use larder_store::InvalidationTarget;

    use super::*;

    fn tagged(name: &str) -> Invalidation {
        Invalidation::soft([InvalidationTarget::Tag(name.to_owned()), InvalidationTarget::Prefix("/x".to_owned())])
    }

    #[test]
    fn what_is_told_again_is_bounded_in_number_and_in_bytes() {
        let told = Recent::default();
        (0..=MOST_TOLD).for_each(|n| told.add(tagged(&n.to_string())));
        let again = told.take();
        assert_eq!((again.len(), &again[0], told.take().len()), (MOST_TOLD, &tagged("1"), 0));
        let large = |n: usize| tagged(&format!("{n}{}", "x".repeat(MOST_TOLD_BYTES / 4)));
        (0..9).for_each(|n| told.add(large(n)));
        assert_eq!(told.take(), [large(6), large(7), large(8)]);
        told.add(tagged(&"x".repeat(MOST_TOLD_BYTES)));
        told.add(tagged("a"));
        assert_eq!(told.take(), [tagged("a")]);
    }
}
