//! What one upstream is spared: exchanges at a time, and exchanges while it fails.

use std::time::Duration;

/// The limit of one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Exchanges at a time; 0: any number.
    pub max_requests: usize,
    /// Requests that wait for a place.
    pub queue: usize,
    /// How long they wait.
    pub wait: Duration,
}

impl Default for Limit {
    fn default() -> Self {
        Self { max_requests: 200, queue: 100, wait: Duration::from_secs(1) }
    }
}

/// When an upstream is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerLimit {
    /// Failures in a row.
    pub failures: u32,
    /// The pause, after which one request at a time tries.
    pub open: Duration,
}

impl Default for BreakerLimit {
    fn default() -> Self {
        Self { failures: 5, open: Duration::from_secs(5) }
    }
}
