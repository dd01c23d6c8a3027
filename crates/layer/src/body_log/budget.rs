//! The memory for bodies under way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::Log;
use crate::clock::timer_now;

/// Between two looks for stalled readers, at least.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Bytes held by all logs, and the most they may hold together.
#[derive(Debug)]
pub(crate) struct InFlight {
    held: AtomicU64,
    limit: u64,
    logs: Mutex<Logs>,
}

/// All logs there are, so that they can be looked through.
#[derive(Debug, Default)]
struct Logs {
    all: Vec<Weak<Log>>,
    /// As many as there are twice, when those that are gone were last taken out.
    clean_at: usize,
    looked: Option<Instant>,
}

impl InFlight {
    pub(crate) fn new(limit: u64) -> Self {
        Self { held: AtomicU64::new(0), limit, logs: Mutex::default() }
    }

    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes that are held from now on, until they are taken off again.
    pub(crate) fn add(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes off what was added.
    pub(crate) fn take_off(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether the budget for bodies in flight is used up.
    pub(crate) fn is_full(&self) -> bool {
        self.held() >= self.limit
    }

    /// As [`Self::is_full`], after the readers were cut off that have taken nothing for [`super::PATIENCE`] of what is held for them alone: they
    /// may not keep the bodies of all others from being stored.
    pub(crate) fn stays_full(&self) -> bool {
        if !self.is_full() {
            return false;
        }
        for log in self.due() {
            log.lock().cut_off_stalled(self);
        }
        self.is_full()
    }

    /// The logs to look through, where it is time to.
    fn due(&self) -> Vec<Arc<Log>> {
        let mut logs = self.logs();
        let now = timer_now();
        if logs.looked.is_some_and(|looked| now.duration_since(looked) < BETWEEN_LOOKS) {
            return Vec::new();
        }
        logs.looked = Some(now);
        logs.all.iter().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn register(&self, log: &Arc<Log>) {
        let mut logs = self.logs();
        if logs.all.len() >= logs.clean_at {
            logs.all.retain(|log| log.strong_count() > 0);
            logs.clean_at = 2 * logs.all.len() + 16;
        }
        logs.all.push(Arc::downgrade(log));
    }

    fn logs(&self) -> MutexGuard<'_, Logs> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
