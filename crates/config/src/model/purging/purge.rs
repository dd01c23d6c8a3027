//! `[purge]`.

use std::time::Duration;

use ipnet::IpNet;

/// `[purge]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// Clients whose `PURGE` on a public listener counts; without any, the method is like every other.
    pub public_from: Vec<IpNet>,
    /// Targets in one call.
    pub max_targets: usize,
    /// Background refreshes at the same time.
    pub max_refreshes: u64,
    /// How long the answer to a write waits for other replicas.
    pub write_wait: Duration,
    /// Whether regular expressions may say what to purge.
    pub regex: bool,
    /// The Redis channel on which other programs publish invalidations; `None`: none is followed.
    pub channel: Option<String>,
}

/// The name that applications know it by.
const CHANNEL: &str = "system:cache_invalidation";

impl Default for Purge {
    fn default() -> Self {
        Self {
            public_from: Vec::new(),
            max_targets: 1000,
            max_refreshes: 64,
            write_wait: Duration::ZERO,
            regex: false,
            channel: Some(CHANNEL.to_owned()),
        }
    }
}
