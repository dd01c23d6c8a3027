//! Latencies.

use serde::Serialize;

/// A histogram of latencies.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LatencySnapshot {
    /// How many were observed.
    pub count: u64,
    /// Their sum.
    pub sum_seconds: f64,
    /// In rising order. Together they count as many as `count`.
    pub buckets: Vec<Bucket>,
}

/// The latencies between the bound of the bucket before and this one's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bucket {
    /// The upper bound, which belongs to the bucket; `None` for the last bucket, which has no bound.
    pub max_seconds: Option<f64>,
    /// How many: its own, without those of the buckets before.
    pub count: u64,
}

impl LatencySnapshot {
    /// Adds what another one has observed.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_seconds += other.sum_seconds;
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        for (own, other) in self.buckets.iter_mut().zip(&other.buckets) {
            own.count += other.count;
        }
    }

    /// What has been observed since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let counts = before.buckets.iter().map(|bucket| bucket.count).chain(std::iter::repeat(0));
        let buckets = self.buckets.iter().zip(counts);
        let buckets: Vec<Bucket> = buckets.map(|(own, before)| Bucket { count: own.count.saturating_sub(before), ..*own }).collect();
        Self {
            count: buckets.iter().map(|bucket| bucket.count).sum(),
            sum_seconds: (self.sum_seconds - before.sum_seconds).max(0.0),
            buckets,
        }
    }

    /// The latency in seconds that this share of them did not exceed, as far as the buckets tell: within one of them latencies count as evenly
    /// spread, and beyond the last bound they count as that, as Prometheus has it. `None` where nothing was observed.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = share * self.count as f64;
        let (mut below, mut bound) = (0, 0.0);
        if self.count == 0 {
            return None;
        }
        for bucket in &self.buckets {
            let Some(max) = bucket.max_seconds else { break };
            let with = below + bucket.count;
            if bucket.count > 0 && with as f64 >= wanted {
                return Some(bound + (max - bound) * ((wanted - below as f64) / bucket.count as f64).clamp(0.0, 1.0));
            }
            (below, bound) = (with, max);
        }
        Some(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(counts: [u64; 3]) -> LatencySnapshot {
        let bounds = [Some(0.1), Some(0.2), None];
        let buckets = bounds.into_iter().zip(counts).map(|(max_seconds, count)| Bucket { max_seconds, count }).collect();
        LatencySnapshot { count: counts.iter().sum(), sum_seconds: 0.0, buckets }
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let close =
            |found: Option<f64>, wanted: f64| assert!(found.is_some_and(|found| (found - wanted).abs() < 1e-9), "{found:?} {wanted}");
        close(latency([10, 0, 0]).quantile(0.5), 0.05);
        close(latency([10, 10, 0]).quantile(0.75), 0.15);
        close(latency([0, 4, 0]).quantile(1.0), 0.2);
        close(latency([0, 0, 9]).quantile(0.5), 0.2);
        assert_eq!((latency([0, 0, 0]).quantile(0.5), LatencySnapshot::default().quantile(0.9)), (None, None));
    }

    #[test]
    fn a_part_and_the_rest_are_the_whole() {
        let (before, mut rest) = (latency([1, 2, 3]), latency([5, 5, 5]).since(&latency([1, 2, 3])));
        assert_eq!(rest, latency([4, 3, 2]));
        rest.add(&before);
        assert_eq!(rest, latency([5, 5, 5]));
        assert_eq!(latency([1, 1, 1]).since(&LatencySnapshot::default()), latency([1, 1, 1]), "the first of them has none before");
    }
}
