//! What an entry remembers of the ledger.

use std::sync::atomic::Ordering;

use super::{Ledger, Position, Subject, Validity};
use crate::sync::{AtomicBool, AtomicU64};

/// Up to where an entry is known to be valid, so that a look-up compares one number while nothing new was invalidated.
#[derive(Debug)]
pub(crate) struct Checked {
    position: AtomicU64,
    /// Whether a soft invalidation concerned it up to there.
    softened: AtomicBool,
}

impl Checked {
    /// For what was fetched at `position`.
    pub(crate) fn new(position: Position) -> Self {
        Self { position: AtomicU64::new(position.0), softened: AtomicBool::new(false) }
    }

    /// Whether the entry may still be used, if only as stale ([`Self::is_softened`]).
    pub(crate) fn is_valid(&self, ledger: &Ledger, subject: &Subject<'_>) -> bool {
        let head = ledger.position();
        let checked = self.position.load(Ordering::Acquire);
        if checked >= head.0 {
            return true;
        }
        match ledger.check(subject, Position(checked)) {
            Validity::Invalid => return false,
            Validity::Stale => self.softened.store(true, Ordering::Relaxed),
            Validity::Valid => {}
        }
        // Released after the mark: whoever finds it checked finds it softened too.
        self.position.fetch_max(head.0, Ordering::Release);
        true
    }

    /// Whether a soft invalidation made it stale, as far as [`Self::is_valid`] looked.
    pub(crate) fn is_softened(&self) -> bool {
        self.softened.load(Ordering::Relaxed)
    }
}
