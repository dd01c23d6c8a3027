//! A latency histogram with fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::snapshot::{Bucket, LatencySnapshot};

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
        let nanos = nanos(elapsed);
        self.buckets[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

fn nanos(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// Linear on purpose: a hit ends at the first bound or the second.
fn bucket(nanos: u64) -> usize {
    BOUNDS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len())
}

/// The number of the bucket that a latency is counted in.
pub(super) fn bucket_of(elapsed: Duration) -> usize {
    bucket(nanos(elapsed))
}

/// The sum of several histograms.
pub(super) fn sum<'a>(parts: impl Iterator<Item = &'a Histogram>) -> LatencySnapshot {
    let (mut counts, mut nanos) = ([0; BUCKETS], 0_u64);
    for part in parts {
        for (total, cell) in counts.iter_mut().zip(&part.buckets) {
            *total += cell.load(Ordering::Relaxed);
        }
        nanos = nanos.wrapping_add(part.nanos.load(Ordering::Relaxed));
    }
    let bounds = BOUNDS.iter().map(|nanos| Some(seconds(*nanos))).chain([None]);
    LatencySnapshot {
        // Taken from the buckets, so that the count and the buckets always agree.
        count: counts.iter().sum(),
        sum_seconds: seconds(nanos),
        buckets: bounds.zip(counts).map(|(max_seconds, count)| Bucket { max_seconds, count }).collect(),
    }
}

fn seconds(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
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
        let latency = sum(std::iter::once(&histogram));
        assert_eq!(latency.buckets.len(), BUCKETS);
        assert_eq!(latency.buckets[0], Bucket { max_seconds: Some(0.000_05), count: 1 });
        assert_eq!(latency.buckets[1], Bucket { max_seconds: Some(0.000_1), count: 1 });
        assert_eq!(latency.buckets[BUCKETS - 1], Bucket { max_seconds: None, count: 1 });
        assert_eq!(latency.count, 3);
        assert!((latency.sum_seconds - 3_600.000_100_001).abs() < 1e-9);
    }

    #[test]
    fn bounds_rise() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
    }
}
