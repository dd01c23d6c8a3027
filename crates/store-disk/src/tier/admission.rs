//! Which responses are written: all, or those that are asked for or fetched a second time.
//!
//! A response in memory that answers a request is marked there, without a word to any tier. So a response that is not written at once is
//! remembered by a weak reference, and looked at from time to time: it is written once it was asked for, and forgotten once memory has dropped it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use larder_disk_options::Admission;
use larder_store::{LogPosition, StoredResponse, Write};

/// Keys that are remembered as fetched.
const SEEN: usize = 1 << 16;

/// Responses that are looked at.
const MAX_CANDIDATES: usize = 1 << 16;

/// The last responses among which one is looked for that memory holds in another form: more than may wait for that.
const MAX_FOLLOWED: usize = 2_048;

/// A response that may be written later.
#[derive(Debug)]
struct Candidate {
    response: Weak<StoredResponse>,
    /// Until when it can be of use.
    until: Option<Instant>,
    log_position: Option<LogPosition>,
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Admitting {
    admission: Admission,
    /// The hash of the key that was fetched last, of those that share a place.
    seen: Box<[AtomicU32]>,
    candidates: Mutex<VecDeque<Candidate>>,
}

impl Admitting {
    pub(crate) fn new(admission: Admission) -> Self {
        let places = if admission == Admission::SecondHit { SEEN } else { 0 };
        Self { admission, seen: (0..places).map(|_| AtomicU32::new(0)).collect(), candidates: Mutex::default() }
    }

    /// The write, if it is to be done now. Otherwise it may come back from [`Self::asked`].
    pub(crate) fn admit(&self, write: Write, hash: u64, now: Instant) -> Option<Write> {
        if self.admits(hash) {
            return Some(write);
        }
        let (response, until) = (Arc::downgrade(&write.response), now.checked_add(write.keep));
        let mut candidates = self.candidates.lock().unwrap_or_else(PoisonError::into_inner);
        if candidates.len() >= MAX_CANDIDATES {
            candidates.pop_front();
        }
        candidates.push_back(Candidate { response, until, log_position: write.log_position });
        None
    }

    /// Whether a response is written now that this fetch brings.
    pub(crate) fn admits(&self, hash: u64) -> bool {
        self.admission == Admission::All || self.was_seen(hash)
    }

    /// Whether the key was fetched lately. From now on it was.
    fn was_seen(&self, hash: u64) -> bool {
        let tag = (hash >> 32) as u32 | 1;
        self.seen[hash as usize % SEEN].swap(tag, Ordering::Relaxed) == tag
    }

    /// Memory holds this response in another form from now on, which is asked for in its place.
    pub(crate) fn follow(&self, before: &Arc<StoredResponse>, now: &Arc<StoredResponse>) {
        let mut candidates = self.candidates.lock().unwrap_or_else(PoisonError::into_inner);
        let candidate = candidates.iter_mut().rev().take(MAX_FOLLOWED).find(|candidate| candidate.response.as_ptr() == Arc::as_ptr(before));
        if let Some(candidate) = candidate {
            candidate.response = Arc::downgrade(now);
        }
    }

    /// The responses that were asked for since they were stored.
    pub(crate) fn asked(&self, now: Instant) -> Vec<Write> {
        let mut candidates = self.candidates.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writes = Vec::new();
        candidates.retain(|candidate| {
            let Some(response) = candidate.response.upgrade() else { return false };
            let keep = candidate.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
            if keep.is_zero() {
                return false;
            }
            let is_waiting = !response.was_asked();
            if !is_waiting {
                writes.push(Write { response, keep, lease: None, log_position: candidate.log_position });
            }
            is_waiting
        });
        writes
    }

    /// How many are looked at.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.candidates.lock().unwrap().len()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "instants of a test's own")]
mod tests {
    use super::*;
    use crate::fixtures::write;

    #[test]
    fn with_all_every_response_is_written_at_once() {
        let admitting = Admitting::new(Admission::All);
        assert!(admitting.admit(write("/x", 1, 1), 1, Instant::now()).is_some());
    }

    #[test]
    fn a_response_is_written_once_it_was_asked_for() {
        let (admitting, now) = (Admitting::new(Admission::SecondHit), Instant::now());
        let one = write("/x", 1, 1);
        let response = Arc::clone(&one.response);
        assert!(admitting.admit(one, 1, now).is_none());
        assert!(admitting.asked(now).is_empty());
        response.mark_asked();
        let asked = admitting.asked(now + Duration::from_secs(20));
        assert_eq!(asked.iter().map(|write| write.keep).collect::<Vec<_>>(), [Duration::from_secs(40)]);
        assert!(admitting.asked(now).is_empty(), "it is written once");
    }

    #[test]
    fn a_response_that_memory_holds_in_another_form_is_written_once_that_was_asked_for() {
        let (admitting, now) = (Admitting::new(Admission::SecondHit), Instant::now());
        let one = write("/x", 1, 1);
        let (plain, packed) = (Arc::clone(&one.response), write("/x", 1, 1).response);
        assert!(admitting.admit(one, 1, now).is_none());
        admitting.follow(&plain, &packed);
        drop(plain);
        assert!(admitting.asked(now).is_empty());
        packed.mark_asked();
        assert_eq!(admitting.asked(now).iter().map(|write| Arc::as_ptr(&write.response)).collect::<Vec<_>>(), [Arc::as_ptr(&packed)]);
    }

    #[test]
    fn a_response_that_memory_has_dropped_or_that_has_expired_is_forgotten() {
        let (admitting, now) = (Admitting::new(Admission::SecondHit), Instant::now());
        let (dropped, kept) = (write("/x", 1, 1), write("/y", 1, 1));
        let response = Arc::clone(&kept.response);
        assert!(admitting.admit(dropped, 1, now).is_none() && admitting.admit(kept, 2, now).is_none());
        assert!(admitting.asked(now).is_empty());
        assert_eq!(admitting.len(), 1);
        response.mark_asked();
        assert!(admitting.asked(now + Duration::from_secs(60)).is_empty());
        assert_eq!(admitting.len(), 0);
    }

    #[test]
    fn a_response_that_is_fetched_a_second_time_is_written_at_once() {
        let (admitting, now) = (Admitting::new(Admission::SecondHit), Instant::now());
        assert!(admitting.admit(write("/x", 1, 1), 7 << 40, now).is_none());
        assert!(admitting.admit(write("/y", 1, 1), 8 << 40 | 1, now).is_none());
        assert!(admitting.admit(write("/x", 1, 2), 7 << 40, now).is_some());
    }
}
