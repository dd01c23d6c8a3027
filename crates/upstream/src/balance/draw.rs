//! Random numbers for drawing servers. They decide about load alone, so they need not be hard to guess.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of random numbers (SplitMix64), seeded differently in each process. Threads share it without a lock.
#[derive(Debug)]
pub(crate) struct Draw(AtomicU64);

/// The step of SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Default for Draw {
    fn default() -> Self {
        Self(AtomicU64::new(RandomState::new().hash_one(0u64)))
    }
}

impl Draw {
    /// From 0 to 1, without 1.
    pub(crate) fn unit(&self) -> f64 {
        unit(mixed(self.0.fetch_add(STEP, Ordering::Relaxed)))
    }
}

/// The mixer of SplitMix64: every bit of the outcome depends on every bit of `seed`.
pub(crate) fn mixed(seed: u64) -> u64 {
    let seed = seed.wrapping_add(STEP);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

/// A number's place between 0 and 1, without either.
pub(crate) fn unit(number: u64) -> f64 {
    // With the half, these are the 53 bits that a float holds exactly.
    ((number >> 12) as f64 + 0.5) / (1u64 << 52) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_evenly_between_zero_and_one() {
        let draw = Draw::default();
        let mut tenths = [0u32; 10];
        for _ in 0..10_000 {
            tenths[(draw.unit() * 10.0) as usize] += 1;
        }
        // Nine standard deviations around a thousand.
        assert!(tenths.iter().all(|count| (730..1270).contains(count)), "{tenths:?}");
    }

    #[test]
    fn the_ends_are_left_out() {
        assert!(unit(0) > 0.0 && unit(u64::MAX) < 1.0);
    }
}
