//! What became of the configurations that were read while running.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use larder_semantics::Timestamp;

use crate::telemetry::snapshot::ConfigSnapshot;

/// Counts since the start.
#[derive(Debug)]
pub(crate) struct Reloads {
    applied: AtomicU64,
    refused: AtomicU64,
    last_successful: AtomicBool,
    /// Seconds since 1970.
    last_success: AtomicU64,
}

impl Reloads {
    /// Of a process that starts now, with a configuration that is right.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            applied: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last_successful: AtomicBool::new(true),
            last_success: AtomicU64::new(now.as_millis() / 1000),
        }
    }

    /// Another configuration is in force.
    pub(crate) fn applied(&self, now: Timestamp) {
        self.applied.fetch_add(1, Ordering::Relaxed);
        self.last_success.store(now.as_millis() / 1000, Ordering::Relaxed);
        self.last_successful.store(true, Ordering::Relaxed);
    }

    /// A configuration was refused.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.last_successful.store(false, Ordering::Relaxed);
    }

    /// For metrics, with the hash of the running configuration.
    pub(crate) fn snapshot(&self, hash: Option<String>) -> ConfigSnapshot {
        ConfigSnapshot {
            hash,
            reloaded: self.applied.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            last_successful: self.last_successful.load(Ordering::Relaxed),
            last_success_seconds: self.last_success.load(Ordering::Relaxed),
        }
    }
}
