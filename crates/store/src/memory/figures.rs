//! Figures of the memory tier: for metrics, and for previews of a purge.

use std::sync::atomic::{AtomicU64, Ordering};

use larder_semantics::Timestamp;

use super::MemoryStore;
use super::departed::Departed;
use super::slot::Slot;
use crate::ledger::{Invalidation, Ledger, Position, Subject, Validity};

/// Entries looked at for an estimate.
const SAMPLE: usize = 10_000;

/// Why entries left, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evictions {
    /// Other entries needed the room.
    pub size: u64,
    /// Invalidated or superseded by an answer that cannot be stored.
    pub removed: u64,
    /// A newer response replaced it.
    pub replaced: u64,
}

/// Figures of the memory tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Entries, variants and marks included.
    pub entries: u64,
    /// Their bytes, bookkeeping included.
    pub bytes: u64,
    /// The most bytes they may take now: less while others take their part of the store's capacity.
    pub capacity: u64,
    /// Why entries left.
    pub evictions: Evictions,
}

#[derive(Debug, Default)]
pub(super) struct EvictionCells {
    pub(super) size: AtomicU64,
    pub(super) removed: AtomicU64,
    pub(super) replaced: AtomicU64,
    pub(super) departed: Departed,
}

/// What an invalidation would concern, found out without one.
#[derive(Debug)]
pub struct Selection(Ledger);

impl Selection {
    /// Everything that this invalidation names.
    pub fn of(invalidation: &Invalidation) -> Self {
        let trial = Ledger::default();
        trial.apply(invalidation, Timestamp::from_secs(0));
        Self(trial)
    }

    /// Whether an entry with these names is among it.
    pub fn covers(&self, subject: &Subject<'_>) -> bool {
        self.0.check(subject, Position(0)) != Validity::Valid
    }
}

impl MemoryStore {
    /// Estimates how many entries an invalidation would concern, from a sample, so that no request has to wait for it.
    pub fn estimate(&self, invalidation: &Invalidation) -> u64 {
        let trial = Selection::of(invalidation);
        let (mut sampled, mut concerned) = (0_u64, 0_u64);
        for (_, slot) in self.slots.iter().take(SAMPLE) {
            sampled += 1;
            if let Slot::Response(response) = &slot {
                concerned += u64::from(trial.covers(&response.subject()) && response.is_valid(&self.ledger));
            }
        }
        let entries = (self.slots.len() as u64).max(sampled);
        if sampled < SAMPLE as u64 { concerned } else { (u128::from(concerned) * u128::from(entries) / u128::from(sampled)) as u64 }
    }

    /// Figures for metrics.
    pub fn stats(&self) -> MemoryStats {
        let count = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        MemoryStats {
            entries: self.slots.len() as u64,
            bytes: self.slots.weight(),
            capacity: self.room.load(Ordering::Relaxed),
            evictions: Evictions {
                size: count(&self.evictions.size),
                removed: count(&self.evictions.removed),
                replaced: count(&self.evictions.replaced),
            },
        }
    }
}
