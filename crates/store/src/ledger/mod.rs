//! The invalidation ledger: one growing sequence of invalidations, and for everything they named the last position at which it was.
//!
//! Every stored response carries the position from before its fetch began. It is valid as long as nothing that names it moved past
//! that position; so a fill that raced an invalidation is invalid by construction, whenever it is committed. An invalidation costs the
//! same whatever the number of entries. A hit costs one compare while nothing was invalidated since the entry was last checked.
//!
//! ```text
//! names an entry by     kept as                       asked with
//! URL, tag, route,      hash -> last position         the entry's own tags: a look-up each
//! class, namespace
//! prefix                hash -> last position         the URL up to each slash, at depths that were ever invalidated
//! pattern               list, newest first            compared once with each entry that is asked for
//! everything            one position
//! ```

mod glob;
mod invalidation;
mod prefix;
mod records;
mod tag;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use larder_semantics::Timestamp;

pub use glob::Glob;
pub use invalidation::{Invalidation, InvalidationTarget};
use records::Records;
pub use tag::{Tag, Tags};

/// A place in the sequence of invalidations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// What an entry is known by.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its key's URL part: prefixes and patterns are compared with it.
    pub url: &'a str,
    /// Its tags, that of the URL included.
    pub tags: &'a [Tag],
}

/// What became of an entry, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Validity {
    /// Nothing.
    Valid,
    /// Softly invalidated: stale, but to be served while one refresh runs.
    Stale,
    /// Gone.
    Invalid,
}

/// Figures of a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerStats {
    /// The last position given out.
    pub position: Position,
    /// Records kept.
    pub records: usize,
    /// Targets invalidated since the start, as [`InvalidationTarget::KINDS`] lists them.
    pub invalidated: [u64; InvalidationTarget::KINDS.len()],
}

/// See the module's page.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The last position given out. Written under the lock, after the records.
    head: AtomicU64,
    records: RwLock<Records>,
    /// The longest time in milliseconds for which anything stored may be served.
    longest: AtomicU64,
    invalidated: [AtomicU64; InvalidationTarget::KINDS.len()],
}

impl Ledger {
    /// The current position: to be read before a fetch begins.
    pub fn position(&self) -> Position {
        Position(self.head.load(Ordering::Acquire))
    }

    /// Applies an invalidation as one step at the next position. When it returns, no look-up that starts later finds any of it, but for
    /// what is to be found stale.
    pub fn apply(&self, invalidation: &Invalidation, now: Timestamp) -> Position {
        self.apply_as(invalidation, now, |head, _| Position(head.0 + 1))
    }

    /// Applies an invalidation whose position somebody else gave out. They have to come in order: one at or before the current position
    /// counts as if it came right after it, which may invalidate too much, never too little.
    pub fn apply_at(&self, position: Position, invalidation: &Invalidation, now: Timestamp) -> Position {
        self.apply_as(invalidation, now, |head, _| position.max(Position(head.0 + 1)))
    }

    /// As [`Self::apply`], by a write whose own answer is to be stored as `kept`: whether nothing else invalidated that since `since`, and
    /// the position for it. One step, so that no invalidation falls between the question and the answer.
    pub fn apply_since(&self, invalidation: &Invalidation, now: Timestamp, kept: &Subject<'_>, since: Position) -> (Position, bool) {
        let mut untouched = false;
        let position = self.apply_as(invalidation, now, |head, records| {
            untouched = records.check(kept, since) == Validity::Valid;
            Position(head.0 + 1)
        });
        (position, untouched)
    }

    fn apply_as(&self, invalidation: &Invalidation, now: Timestamp, place: impl FnOnce(Position, &Records) -> Position) -> Position {
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        let head = Position(self.head.load(Ordering::Relaxed));
        records.age(now, head, self.longest.load(Ordering::Relaxed));
        let position = place(head, &records);
        records.add(invalidation, position);
        // Released last: whoever sees the new head finds the records.
        self.head.store(position.0, Ordering::Release);
        drop(records);
        for target in &invalidation.targets {
            self.invalidated[target.kind_index()].fetch_add(1, Ordering::Relaxed);
        }
        position
    }

    /// What became of an entry since `position`.
    pub fn check(&self, subject: &Subject<'_>, position: Position) -> Validity {
        if self.position() <= position {
            return Validity::Valid;
        }
        self.records.read().unwrap_or_else(PoisonError::into_inner).check(subject, position)
    }

    /// Something that may be served for `lifetime` milliseconds from now on is about to be stored: records have to stay for as long.
    pub fn concern(&self, lifetime: u64) {
        if self.longest.load(Ordering::Relaxed) < lifetime {
            self.longest.fetch_max(lifetime, Ordering::Relaxed);
        }
    }

    /// Figures for metrics. Forgets records that can concern nothing any more.
    pub fn stats(&self, now: Timestamp) -> LedgerStats {
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        let position = self.position();
        records.age(now, position, self.longest.load(Ordering::Relaxed));
        let invalidated = std::array::from_fn(|kind| self.invalidated[kind].load(Ordering::Relaxed));
        LedgerStats { position, records: records.len(), invalidated }
    }
}

#[cfg(test)]
mod tests;
