//! Numbers by chance: for samples and for names that nobody has to be unable to guess.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
}

/// The next number of this thread (SplitMix64): a few instructions, no lock.
pub(crate) fn random() -> u64 {
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A share of all draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Of 2^32 draws.
    hits: u64,
}

impl Share {
    /// From 0 to 1.
    pub fn new(share: f64) -> Self {
        Self { hits: (share.clamp(0.0, 1.0) * (1_u64 << 32) as f64).round() as u64 }
    }

    /// Whether this draw is one of the share.
    pub fn draw(self) -> bool {
        random() >> 32 < self.hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_and_all_are_exact_and_a_share_is_about_that() {
        let drawn = |share| (0..100_000).filter(|_| Share::new(share).draw()).count();
        assert_eq!((drawn(0.0), drawn(1.0)), (0, 100_000));
        // Ten standard deviations: a machine that draws once a second would see a failure once in more than its lifetime.
        let tenth = drawn(0.1);
        assert!((9_050..10_950).contains(&tenth), "{tenth}");
    }
}
