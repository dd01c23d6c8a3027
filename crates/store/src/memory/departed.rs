//! Why keys are no longer stored: operators ask first why a look-up finds nothing.
//!
//! A sketch, so that it has a fixed size: each key has one cell, which it shares with others, and the last one to leave keeps it. A cell names
//! its key by 30 bits, so one answer in a billion is about another key.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use larder_semantics::Timestamp;

use super::key_hash::KeyHash;
use super::slot::Slot;

/// Cells; 64 KiB of them.
const CELLS: usize = 1 << 14;

/// Why nothing is stored under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Nothing is known of it: most likely nothing was ever stored.
    Unknown,
    /// It was invalidated.
    Purged,
    /// It had to make room while it was fresh.
    Evicted,
    /// It had to make room, and was stale by then.
    Expired,
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Departed {
    cells: Box<[AtomicU32]>,
    /// The time of the last commit, in milliseconds: what makes room does not know the time.
    now: AtomicU64,
}

impl Default for Departed {
    fn default() -> Self {
        Self { cells: (0..CELLS).map(|_| AtomicU32::new(0)).collect(), now: AtomicU64::new(0) }
    }
}

impl Departed {
    /// Something is being stored at this time.
    pub(super) fn tick(&self, now: Timestamp) {
        self.now.store(now.as_millis(), Ordering::Relaxed);
    }

    /// The slot has to make room.
    pub(super) fn evicted(&self, hash: KeyHash, slot: &Slot) {
        let now = Timestamp::from_millis(self.now.load(Ordering::Relaxed));
        let head = match slot {
            Slot::Response(response) => &response.head,
            Slot::Partial(part) => &part.meta.head,
            Slot::Vary(_) | Slot::HitForMiss(_) => return,
        };
        self.note(hash, if head.staleness(now).is_some() { Departure::Expired } else { Departure::Evicted });
    }

    pub(super) fn purged(&self, hash: KeyHash) {
        self.note(hash, Departure::Purged);
    }

    fn note(&self, hash: KeyHash, why: Departure) {
        self.cell(hash).store(name(hash) | why as u32, Ordering::Relaxed);
    }

    pub(super) fn why(&self, hash: KeyHash) -> Departure {
        let cell = self.cell(hash).load(Ordering::Relaxed);
        match cell ^ name(hash) {
            1 => Departure::Purged,
            2 => Departure::Evicted,
            3 => Departure::Expired,
            _ => Departure::Unknown,
        }
    }

    fn cell(&self, hash: KeyHash) -> &AtomicU32 {
        &self.cells[hash as usize % CELLS]
    }
}

/// The upper 30 bits of a hash, in the upper 30 of a cell.
fn name(hash: KeyHash) -> u32 {
    (hash >> 32) as u32 & !3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::fixtures::NOW;
    use crate::memory::tests::response;

    #[test]
    fn an_evicted_response_was_evicted_if_fresh_and_expired_otherwise() {
        let departed = Departed::default();
        let slot = Slot::Response(response("/a", 1, Default::default()));
        for (now, why) in [(NOW, Departure::Evicted), (Timestamp::from_millis(NOW.as_millis() + 10_000_000_000), Departure::Expired)] {
            departed.tick(now);
            departed.evicted(7, &slot);
            assert_eq!(departed.why(7), why);
        }
    }

    #[test]
    fn a_key_is_remembered_until_another_takes_its_cell() {
        let departed = Departed::default();
        let (one, other) = (7 | 1 << 40, 7 | 1 << 41);
        assert_eq!(departed.why(one), Departure::Unknown);
        for why in [Departure::Purged, Departure::Evicted, Departure::Expired] {
            departed.note(one, why);
            assert_eq!((departed.why(one), departed.why(other)), (why, Departure::Unknown));
        }
        departed.note(other, Departure::Purged);
        assert_eq!((departed.why(one), departed.why(other)), (Departure::Unknown, Departure::Purged));
    }
}
