//! A latency histogram with fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in nanoseconds, inclusive. Fine below a millisecond, where hits are; up to 10 s, where slow origins are.
const BOUNDS: [u64; 17] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];
const BUCKETS: usize = BOUNDS.len() + 1;

/// Cells of one thread or a few.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, elapsed: Duration) {
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        // Linear on purpose: a hit ends at the first bound or the second.
        let index = BOUNDS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[index].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// The sum of several histograms.
#[derive(Debug, Default)]
pub(super) struct HistogramSum {
    buckets: [u64; BUCKETS],
    nanos: u64,
}

impl HistogramSum {
    pub(super) fn of<'a>(parts: impl Iterator<Item = &'a Histogram>) -> Self {
        let mut sum = Self::default();
        for part in parts {
            for (total, cell) in sum.buckets.iter_mut().zip(&part.buckets) {
                *total += cell.load(Ordering::Relaxed);
            }
            sum.nanos = sum.nanos.wrapping_add(part.nanos.load(Ordering::Relaxed));
        }
        sum
    }

    /// How many were observed: taken from the buckets, so that `_count` and the last bucket always agree.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of what was observed, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanos).as_secs_f64()
    }

    /// Upper bound in seconds and own (not cumulative) count of each bucket, the last one without bound.
    pub(super) fn buckets(&self) -> [(f64, u64); BUCKETS] {
        std::array::from_fn(|index| {
            let bound = BOUNDS.get(index).map_or(f64::INFINITY, |nanos| Duration::from_nanos(*nanos).as_secs_f64());
            (bound, self.buckets[index])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket_as_prometheus_has_it() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(50));
        histogram.observe(Duration::from_nanos(50_001));
        histogram.observe(Duration::from_secs(3600));
        let sum = HistogramSum::of(std::iter::once(&histogram));
        let buckets = sum.buckets();
        assert_eq!(buckets[0], (0.000_05, 1));
        assert_eq!(buckets[1], (0.000_1, 1));
        assert_eq!(buckets[BUCKETS - 1], (f64::INFINITY, 1));
        assert_eq!(sum.count(), 3);
        assert!((sum.seconds() - 3_600.000_100_001).abs() < 1e-9);
    }

    #[test]
    fn bounds_rise() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
    }
}
