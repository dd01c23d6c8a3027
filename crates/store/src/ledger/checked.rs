//! The last check of an entry against the ledger.

use std::sync::atomic::Ordering;

use super::{Ledger, Position, Subject, Validity};
use crate::sync::AtomicU64;

/// Beside the position: a soft invalidation concerned the entry up to there. No sequence of invalidations gets as far.
const SOFTENED: u64 = 1 << 63;

/// Up to where an entry is known to be valid, so that a look-up compares one number while nothing new was invalidated.
#[derive(Debug)]
pub(crate) struct Checked(AtomicU64);

impl Checked {
    /// For what was fetched at `position`.
    pub(crate) fn new(position: Position) -> Self {
        Self(AtomicU64::new(position.0 & !SOFTENED))
    }

    /// Whether the entry may still be used, if only as stale ([`Self::is_softened`]). `subject` is asked for only where something was
    /// invalidated since it was last checked.
    pub(crate) fn is_valid<'s>(&self, ledger: &Ledger, subject: impl FnOnce() -> Subject<'s>) -> bool {
        let head = ledger.position();
        let checked = self.0.load(Ordering::Acquire);
        let position = checked & !SOFTENED;
        if position >= head.0 {
            return true;
        }
        let softened = match ledger.check(&subject(), Position(position)) {
            Validity::Invalid => return false,
            Validity::Stale => SOFTENED,
            Validity::Valid => checked & SOFTENED,
        };
        // One number holds both, so a reader that sees the new position sees the mark too; and the mark makes the number larger, so `max` keeps it.
        self.0.fetch_max(head.0 | softened, Ordering::Release);
        true
    }

    /// Whether a soft invalidation made it stale, as far as [`Self::is_valid`] looked.
    pub(crate) fn is_softened(&self) -> bool {
        self.0.load(Ordering::Relaxed) & SOFTENED != 0
    }
}
