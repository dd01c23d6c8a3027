//! A sparse count of label combinations.
//!
//! ```text
//! codes  [c0 c1 c2 … c15]   u32 each, one cache line; 0 = free; filled from the front, never changed afterwards
//! counts [n0 n1 n2 … n15]   u64 each
//! next   -> another Tally of combinations seen later
//! ```
//!
//! A dense array would need a cell for every combination there could be (methods × status classes × results × reasons: some 10,000 a
//! route); a route sees a dozen. The first combinations seen are the common ones, so a request finds its code within the first few of a line.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::labels::Labels;

const SLOTS: usize = 16;

/// Counts by [`Labels`], for one thread or a few.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Tally {
    codes: [AtomicU32; SLOTS],
    counts: [AtomicU64; SLOTS],
    next: OnceLock<Box<Tally>>,
}

impl Tally {
    /// Counts one more of `labels`. Allocates only for each 17th new combination.
    pub(super) fn add(&self, labels: Labels) {
        let wanted = labels.code();
        let mut tally = self;
        loop {
            for (code, count) in tally.codes.iter().zip(&tally.counts) {
                let mut found = code.load(Ordering::Relaxed);
                if found == 0 {
                    // Another thread may have taken the slot since, for these labels or for others.
                    found = match code.compare_exchange(0, wanted, Ordering::Relaxed, Ordering::Relaxed) {
                        Ok(_) => wanted,
                        Err(other) => other,
                    };
                }
                if found == wanted {
                    count.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
            tally = tally.next.get_or_init(Box::default);
        }
    }

    /// Every combination seen, with its count.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Labels, u64)> {
        std::iter::successors(Some(self), |tally| tally.next.get().map(|next| &**next)).flat_map(|tally| {
            tally.codes.iter().zip(&tally.counts).filter_map(|(code, count)| {
                let labels = Labels::from_code(code.load(Ordering::Relaxed))?;
                Some((labels, count.load(Ordering::Relaxed)))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use larder_semantics::Reason;

    use super::super::CacheResult;
    use super::*;

    #[test]
    fn more_combinations_than_slots_are_all_kept() {
        let tally = Tally::default();
        let methods = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE];
        let mut wanted = Vec::new();
        for method in &methods {
            for status in [200, 300, 400, 500] {
                for result in [CacheResult::Hit, CacheResult::Miss] {
                    let status = StatusCode::from_u16(status).unwrap();
                    wanted.push(Labels::new(Some(method), status, Some(result), Some(Reason::Fresh)));
                }
            }
        }
        for (times, labels) in wanted.iter().enumerate() {
            (0..=times).for_each(|_| tally.add(*labels));
        }
        let seen: Vec<_> = tally.iter().collect();
        assert_eq!(seen, wanted.into_iter().zip(1..).collect::<Vec<_>>());
    }

    #[test]
    fn the_codes_of_a_chunk_are_one_cache_line() {
        assert_eq!(size_of::<[AtomicU32; SLOTS]>(), 64);
        assert_eq!(std::mem::offset_of!(Tally, codes) % 64, 0);
    }
}
