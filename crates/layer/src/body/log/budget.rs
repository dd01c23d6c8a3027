//! The memory for bodies under way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::{Log, PATIENCE};
use crate::clock::timer_now;

/// Between two looks for stalled readers, at least.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Bodies that are read although they are not stored any more may take so many times the limit while their readers get on: with it, half of
/// the capacity.
const MAX_DEPARTED: u64 = 3;

/// Bytes held by all logs, and the most they may hold together.
#[derive(Debug)]
pub(crate) struct InFlight {
    held: AtomicU64,
    limit: u64,
    departed: AtomicU64,
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
        Self { held: AtomicU64::new(0), limit, departed: AtomicU64::new(0), logs: Mutex::default() }
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

    /// As [`Self::is_full`], after what [`Self::look`] does: readers that take nothing may not keep the bodies of all others from
    /// being stored.
    pub(crate) fn stays_full(&self) -> bool {
        if !self.is_full() {
            return false;
        }
        self.look();
        self.is_full()
    }

    /// Looks through all logs, where it is time to. While the budget is used up, it cuts off the readers that have taken nothing for
    /// [`super::PATIENCE`] of what is held for them alone.
    pub(crate) fn look(&self) {
        let Some(logs) = self.due() else { return };
        if self.is_full() {
            logs.iter().for_each(|log| log.lock().cut_off_stalled(self));
        }
        self.departed.store(self.bound_departed(&logs), Ordering::Relaxed);
    }

    /// Bytes of bodies that are read although they are not stored any more, as of the last look.
    pub(crate) fn departed(&self) -> u64 {
        self.departed.load(Ordering::Relaxed)
    }

    /// What readers keep in memory of bodies that are not stored any more, after those were cut off that take too much: beyond the limit
    /// who has taken nothing for [`super::PATIENCE`], and beyond [`MAX_DEPARTED`] times that who has waited longest.
    fn bound_departed(&self, logs: &[Arc<Log>]) -> u64 {
        let mut departed: Vec<_> = logs.iter().filter_map(|log| Some((log, log.lock().departed()?))).collect();
        departed.sort_by_key(|(_, (.., idle))| *idle);
        let mut readers: HashMap<usize, usize> = HashMap::new();
        let mut bytes = 0;
        for (_, (place, length, _)) in &departed {
            let count = readers.entry(*place).or_default();
            bytes += if *count == 0 { *length } else { 0 };
            *count += 1;
        }
        while bytes > self.limit
            && let Some((log, (place, length, idle))) = departed.pop()
            && (idle >= PATIENCE || bytes > MAX_DEPARTED * self.limit)
        {
            log.lock().let_go();
            let left = readers.entry(place).and_modify(|count| *count -= 1).or_default();
            bytes -= if *left == 0 { length } else { 0 };
        }
        bytes
    }

    /// The logs to look through, where it is time to.
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
