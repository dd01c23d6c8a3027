//! Invalidations that this replica has put into the log lately.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder_store::Invalidation;

use super::form::encode;

/// Invalidations that are published again after the log has begun anew, and bytes of their forms.
const MAX_ENTRIES: usize = 1_000;
const MAX_BYTES: usize = 4 << 20;

/// The last invalidations that this replica has put into the log. A master that has been cut off takes invalidations that its successor never
/// receives: where the log begins anew, they are published again, which does no harm.
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
        while last.entries.len() > MAX_ENTRIES || last.bytes > MAX_BYTES {
            let Some((_, bytes)) = last.entries.pop_front() else { return };
            last.bytes -= bytes;
        }
    }

    /// All of them, to be published again.
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
    fn invalidations_published_again_are_bounded_in_number_and_in_bytes() {
        let recent = Recent::default();
        (0..=MAX_ENTRIES).for_each(|n| recent.add(tagged(&n.to_string())));
        let rest = recent.take();
        assert_eq!((rest.len(), &rest[0], recent.take().len()), (MAX_ENTRIES, &tagged("1"), 0));
        let large = |n: usize| tagged(&format!("{n}{}", "x".repeat(MAX_BYTES / 4)));
        (0..9).for_each(|n| recent.add(large(n)));
        assert_eq!(recent.take(), [large(6), large(7), large(8)]);
        recent.add(tagged(&"x".repeat(MAX_BYTES)));
        recent.add(tagged("a"));
        assert_eq!(recent.take(), [tagged("a")]);
    }
}
