//! How often keys were asked for of which nothing was stored, for routes that store only what is asked for more than once.
//!
//! A sketch, so that it has a fixed size: each key has one cell, and the last key to be counted there has it. One that loses its cell is counted
//! from the beginning, so that its answer is stored a request later. Nothing is allocated before the first count.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_semantics::Timestamp;
use larder_store::KeyHash;

/// Cells; 512 KiB of them.
const CELLS: usize = 1 << 16;

/// A key that has not been asked for in so many minutes is counted from the beginning (nginx's `inactive`).
const WINDOW: u64 = 10;

/// The largest count.
const MAX_COUNT: u32 = 255;

/// The bits of a minute.
const MINUTES: u64 = 0xff_ffff;

/// A cell: the upper 32 bits of a key's hash, the minute in which it was last asked for (24 bits), and its count (8 bits).
#[derive(Debug, Default)]
pub(crate) struct RequestCounts(OnceLock<Box<[AtomicU64]>>);

impl RequestCounts {
    /// One more request for this key.
    pub(crate) fn add(&self, hash: KeyHash, now: Timestamp) {
        let cell = &self.cells()[hash as usize % CELLS];
        let counted = |cell| Some(packed(hash, now, count_in(cell, hash, now).saturating_add(1).min(MAX_COUNT)));
        // It always counts.
        let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
    }

    /// The requests for this key so far, a few hundred at most.
    pub(crate) fn of(&self, hash: KeyHash, now: Timestamp) -> u32 {
        self.0.get().map_or(0, |cells| count_in(cells[hash as usize % CELLS].load(Ordering::Relaxed), hash, now))
    }

    /// Bytes of memory.
    pub(crate) fn weight(&self) -> u64 {
        self.0.get().map_or(0, |cells| size_of_val(&**cells) as u64)
    }

    fn cells(&self) -> &[AtomicU64] {
        self.0.get_or_init(|| (0..CELLS).map(|_| AtomicU64::new(0)).collect())
    }
}

fn minute(now: Timestamp) -> u64 {
    (now.as_millis() / 60_000) & MINUTES
}

fn packed(hash: KeyHash, now: Timestamp, count: u32) -> u64 {
    (hash >> 32 << 32) | (minute(now) << 8) | u64::from(count)
}

fn count_in(cell: u64, hash: KeyHash, now: Timestamp) -> u32 {
    let is_its = cell >> 32 == hash >> 32 && minute(now).wrapping_sub((cell >> 8) & MINUTES) <= WINDOW;
    if is_its { (cell & 0xff) as u32 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const KEY: KeyHash = 7 | 1 << 40;

    fn later(minutes: u64) -> Timestamp {
        Timestamp::from_millis(NOW.as_millis() + minutes * 60_000)
    }

    #[test]
    fn a_key_is_counted_until_it_is_not_asked_for_or_another_takes_its_cell() {
        let counts = RequestCounts::default();
        assert_eq!((counts.of(KEY, NOW), counts.weight()), (0, 0), "nothing is allocated where nothing is counted");
        for count in 1..=3 {
            counts.add(KEY, later(count * WINDOW));
            assert_eq!(u64::from(counts.of(KEY, later(count * WINDOW))), count, "each request keeps it");
        }
        assert_eq!(counts.of(KEY, later(4 * WINDOW + 1)), 0);
        counts.add(KEY, later(4 * WINDOW + 1));
        assert_eq!(counts.of(KEY, later(4 * WINDOW + 1)), 1);
        let other = 7 | 1 << 41;
        counts.add(other, later(50));
        assert_eq!((counts.of(other, later(50)), counts.of(KEY, later(50))), (1, 0));
    }

    #[test]
    fn a_count_does_not_run_over() {
        let counts = RequestCounts::default();
        (0..2 * MAX_COUNT).for_each(|_| counts.add(KEY, NOW));
        assert_eq!(counts.of(KEY, NOW), MAX_COUNT);
    }
}
