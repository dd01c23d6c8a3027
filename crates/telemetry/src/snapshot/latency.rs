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
