//! The hit ratio by memory size, from a sample of the keys (SHARDS: Waldspurger and others, FAST 2015): a cache whose size is scaled down by the
//! share of the keys that it is given has about the hit ratio of the whole. Each point is such a small cache, which runs the real store, so its
//! admission, eviction, lifetimes and bookkeeping are those of the store, where the paper's own method assumes LRU.

use serde::Serialize;

use crate::bounded::hash;
use crate::decision::Decision;
use crate::log::LogRecord;
use crate::report::ratio;

/// Sizes of memory that are tried, as multiples of the configured one: numerator and denominator.
const SIZES: [(u64, u64); 9] = [(1, 16), (1, 8), (1, 4), (1, 2), (1, 1), (2, 1), (4, 1), (8, 1), (16, 1)];

/// Requests that a sample should have.
const WANTED: u64 = 100_000;

/// The least share of the keys: with fewer, single keys decide.
const MIN_SHARE: f64 = 0.01;

/// Which keys are sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    share: f64,
}

impl Sampler {
    /// A share of the keys, from 0.01 to 1.
    pub fn of_share(share: f64) -> Self {
        Self { share: if share.is_finite() { share.clamp(MIN_SHARE, 1.0) } else { 1.0 } }
    }

    /// The share with which a sample of so many bytes of unpacked logs, in lines of about so many each, is large enough.
    pub fn for_bytes(bytes: u64, line: u64) -> Self {
        let lines = (bytes / line.max(1)).max(1);
        Self::of_share(WANTED as f64 / lines as f64)
    }

    /// The share of the keys.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Whether the key with this URL is one of them: always, or never.
    pub fn takes(&self, url: &str) -> bool {
        const SCALE: f64 = (1_u64 << 32) as f64;
        self.share >= 1.0 || ((hash(&[b"sample", url.as_bytes()]) >> 32) as f64) < self.share * SCALE
    }

    /// The sizes of memory that are tried where `capacity` is configured, each with that of the cache which stands for it.
    pub fn sizes(&self, capacity: u64) -> Vec<(u64, u64)> {
        let scaled = |size: u64| ((size as f64 * self.share) as u64).max(1);
        SIZES.iter().map(|(times, part)| capacity / part * times).map(|size| (size, scaled(size))).collect()
    }
}

/// A memory size and its hit ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Bytes of memory.
    pub capacity: u64,
    /// Requests of the sample.
    pub requests: u64,
    /// Those that were hits.
    pub hits: u64,
    /// Bytes of the sample's answers.
    pub bytes: u64,
    /// Bytes of hits.
    pub hit_bytes: u64,
}

impl CurvePoint {
    /// For a memory of so many bytes.
    pub fn new(capacity: u64) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Adds what was decided about a sampled record.
    pub fn add(&mut self, record: &LogRecord, decision: &Decision) {
        self.requests += 1;
        self.bytes += record.bytes;
        if decision.is_hit() {
            self.hits += 1;
            self.hit_bytes += record.bytes;
        }
    }

    /// Hits by requests of the sample.
    pub fn hit_ratio(&self) -> f64 {
        ratio(self.hits, self.requests)
    }

    /// Hits by bytes of the sample.
    pub fn byte_ratio(&self) -> f64 {
        ratio(self.hit_bytes, self.bytes)
    }
}

/// The hit ratio by memory size.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Curve {
    /// The share of the keys that it was taken from.
    pub share: f64,
    /// The configured size.
    pub configured: u64,
    /// The points, the smallest memory first.
    pub points: Vec<CurvePoint>,
}
