//! The memory budget for bodies in flight.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::{Log, MAX_STALL};
use crate::clock::timer_now;

/// Minimum time between two searches for stalled readers.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Bodies that are no longer stored may be read within this many times the limit, while their readers make progress. Together with the limit it is
/// half of the capacity.
const MAX_DEPARTED: u64 = 3;

/// Bytes that all logs hold, and their maximum.
#[derive(Debug)]
pub(crate) struct InFlight {
    held: AtomicU64,
    limit: u64,
    departed: AtomicU64,
    logs: Mutex<Logs>,
}

/// All logs, for the search for stalled readers.
#[derive(Debug, Default)]
struct Logs {
    all: Vec<Weak<Log>>,
    /// Twice the number of logs at the last removal of those that had ended.
    clean_at: usize,
    looked: Option<Instant>,
}

impl InFlight {
    pub(crate) fn new(limit: u64) -> Self {
        Self { held: AtomicU64::new(0), limit, departed: AtomicU64::new(0), logs: Mutex::default() }
    }

    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Adds bytes, until they are removed again.
    pub(crate) fn add(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Removes bytes that were added.
    pub(crate) fn take_off(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes that may still be taken.
    pub(crate) fn left(&self) -> u64 {
        self.limit.saturating_sub(self.held())
    }

    /// Whether the budget is used up.
    pub(crate) fn is_full(&self) -> bool {
        self.held() >= self.limit
    }

    /// As [`Self::is_full`], after [`Self::look`]: stalled readers must not keep other bodies from being stored.
    pub(crate) fn stays_full(&self) -> bool {
        if !self.is_full() {
            return false;
        }
        self.look();
        self.is_full()
    }

    /// Searches all logs for stalled readers, if the last search is long enough ago. While the budget is used up, it cuts off readers that have
    /// taken nothing for [`super::MAX_STALL`] of the pieces that are held for them only.
    pub(crate) fn look(&self) {
        let Some(logs) = self.due() else { return };
        if self.is_full() {
            logs.iter().for_each(|log| log.lock().cut_off_stalled(self));
        }
        self.departed.store(self.bound_departed(&logs), Ordering::Relaxed);
    }

    /// Bytes of bodies that are read but no longer stored, as of the last search.
    pub(crate) fn departed(&self) -> u64 {
        self.departed.load(Ordering::Relaxed)
    }

    /// Bytes that readers keep in memory of bodies that are no longer stored, after readers were cut off that keep too much: beyond the limit those
    /// that have taken nothing for [`super::MAX_STALL`], and beyond [`MAX_DEPARTED`] times the limit those that have waited longest.
    fn bound_departed(&self, logs: &[Arc<Log>]) -> u64 {
        let mut departed: Vec<_> = logs.iter().filter_map(|log| Some((log, log.lock().departed()?))).collect();
        departed.sort_by_key(|(_, (.., idle))| *idle);
        let mut readers: HashMap<usize, usize> = HashMap::new();
        let mut bytes = 0;
        for (_, (position, length, _)) in &departed {
            let count = readers.entry(*position).or_default();
            bytes += if *count == 0 { *length } else { 0 };
            *count += 1;
        }
        while bytes > self.limit
            && let Some((log, (position, length, idle))) = departed.pop()
            && (idle >= MAX_STALL || bytes > MAX_DEPARTED * self.limit)
        {
            log.lock().let_go();
            let left = readers.entry(position).and_modify(|count| *count -= 1).or_default();
            bytes -= if *left == 0 { length } else { 0 };
        }
        bytes
    }

    /// The logs to search, if the last search is long enough ago.
    fn due(&self) -> Option<Vec<Arc<Log>>> {
        let mut logs = self.logs();
        let now = timer_now();
        if logs.looked.is_some_and(|looked| now.duration_since(looked) < BETWEEN_LOOKS) {
            return None;
        }
        logs.looked = Some(now);
        Some(logs.all.iter().filter_map(Weak::upgrade).collect())
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
