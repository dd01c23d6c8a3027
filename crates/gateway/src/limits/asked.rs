//! The answer of limits about one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_limits::Standing;
use larder_tower::{FetchError, FetchErrorKind};
use smallvec::SmallVec;

use super::running::{LimitOutcome, Payer, RunningLimit};
use super::shared::Answer;
use super::{Keys, RouteLimits};
use crate::config::{LimitCount, LimitOver};
use crate::upstream::UpstreamError;

/// How a client stands under the limit that has the least left for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Its place among the limits of the route.
    pub(crate) limit: usize,
    /// Units that are left.
    pub(crate) remaining: u64,
    /// Seconds until all of them may be had again.
    pub(crate) reset: u64,
}

/// A request that does not fit in.
#[derive(Clone, Debug, thiserror::Error)]
#[error("limit `{name}` has nothing left for the client")]
pub(crate) struct Over {
    name: Arc<str>,
    pub(crate) note: Note,
    /// Seconds.
    pub(crate) retry_after: u32,
    /// Whether what is stored may stand in, however stale.
    pub(crate) may_be_stale: bool,
}

impl From<Over> for UpstreamError {
    fn from(over: Over) -> Self {
        Self::Limited(FetchError::new(FetchErrorKind::Limited { may_be_stale: over.may_be_stale }, over))
    }
}

/// What Redis has said about a request; empty where it was not asked. In the request's extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(Option<Arc<Inquiry>>);

/// A question to Redis that was answered. Units that no limit has taken when it is dropped are kept for the client's next requests: another limit has
/// refused this one, its client left, or it was none for the origin.
#[derive(Debug)]
struct Inquiry {
    /// Whose places these are: while Redis was asked, a reload may have brought others.
    limits: Arc<RouteLimits>,
    keys: Keys,
    /// By the places of shared limits, and whether they were taken.
    answers: SmallVec<[(usize, Answer, AtomicBool); 2]>,
}

impl Answers {
    /// Those about the clients of the limits that have asked, by place.
    pub(super) fn about(limits: &Arc<RouteLimits>, keys: Keys, answers: impl IntoIterator<Item = (usize, Answer)>) -> Self {
        let answers = answers.into_iter().map(|(place, answer)| (place, answer, AtomicBool::new(false))).collect();
        Self(Some(Arc::new(Inquiry { limits: Arc::clone(limits), keys, answers })))
    }

    /// Whether these limits have asked.
    pub(crate) fn are_about(&self, limits: &RouteLimits) -> bool {
        self.0.as_deref().is_some_and(|inquiry| std::ptr::eq(&*inquiry.limits, limits))
    }

    /// Takes the answer about the limit at a place; `None` where other limits have asked.
    fn take(&self, limits: &RouteLimits, place: usize) -> Option<&Answer> {
        let inquiry = self.0.as_deref().filter(|_| self.are_about(limits))?;
        let (_, answer, is_taken) = inquiry.answers.iter().find(|(own, ..)| *own == place)?;
        is_taken.store(true, Ordering::Relaxed);
        Some(answer)
    }
}

impl Drop for Inquiry {
    fn drop(&mut self) {
        for (place, answer, is_taken) in &mut self.answers {
            if let (Some(grant), false) = (answer, *is_taken.get_mut()) {
                self.limits.at(*place).keep(self.keys.get(*place), grant);
            }
        }
    }
}

/// Clients that are charged for the bytes of an answer once they are known, each with the place of its limit. Two lie in place, as a limit for bursts beside a
/// budget; a route with more allocates.
pub(crate) type ByteClients = SmallVec<[(usize, Payer); 2]>;

/// What limits have said about a request that may go on. Nothing is counted before [`Self::keep`].
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) note: Option<Note>,
    /// How long the request waits before it goes on.
    pub(super) delay: Duration,
    /// It may go on as far as the store goes.
    pub(super) held: Option<Over>,
    pub(super) bytes: ByteClients,
    taken: SmallVec<[(usize, LimitOutcome); 8]>,
}

impl Asked {
    /// Counts what was taken.
    pub(super) fn keep(self, limits: &RouteLimits) -> Self {
        self.taken.iter().for_each(|(place, outcome)| limits.at(*place).count(*outcome));
        self
    }

    /// Gives back what was taken, as if nothing had been asked.
    pub(super) fn give_back(&self, limits: &RouteLimits, keys: &Keys) {
        for (place, _) in &self.taken {
            let limit = limits.at(*place);
            if !limit.settings.count.is_known_afterwards() {
                limit.give_back(keys.get(*place));
            }
        }
    }

    /// Asks one limit more. With `may_wait` a request that does not fit in may do so later.
    pub(super) fn ask(&mut self, limits: &RouteLimits, place: usize, keys: &Keys, answers: &Answers, may_wait: bool) -> Result<(), Over> {
        let (limit, key) = (limits.at(place), keys.get(place));
        let standing = self.standing(limit, place, key, answers.take(limits, place), may_wait);
        let note = Note { limit: place, remaining: standing.remaining, reset: seconds(standing.reset) };
        let is_observer = limit.settings.over == LimitOver::Observe;
        if standing.allowed || is_observer {
            let outcome = match standing {
                Standing { allowed: false, .. } => LimitOutcome::Observed,
                // A shared limit has taken what is there later only.
                Standing { retry_after: 1.., .. } if is_observer => LimitOutcome::Observed,
                Standing { retry_after: 1.., .. } => LimitOutcome::Delayed,
                _ => LimitOutcome::Admitted,
            };
            self.taken.push((place, outcome));
            if !is_observer {
                self.delay = self.delay.max(Duration::from_micros(standing.retry_after));
                self.heed(note);
            }
            return Ok(());
        }
        let over = Over {
            name: Arc::clone(&limit.settings.name),
            note,
            retry_after: u32::try_from(seconds(standing.retry_after)).unwrap_or(u32::MAX).max(1),
            may_be_stale: limit.settings.over == LimitOver::Stale,
        };
        if over.may_be_stale && place < limits.door() {
            self.heed(note);
            self.held.get_or_insert(over);
            return Ok(());
        }
        Err(over)
    }

    fn standing(&mut self, limit: &RunningLimit, place: usize, key: &str, answer: Option<&Answer>, may_wait: bool) -> Standing {
        if limit.settings.count == LimitCount::Bytes {
            self.bytes.push((place, limit.payer(key)));
        }
        match limit.settings.count.is_known_afterwards() {
            true => limit.look(key, answer),
            false => limit.take(key, answer, may_wait),
        }
    }

    /// The strictest limit speaks.
    fn heed(&mut self, note: Note) {
        self.note = stricter(self.note, Some(note));
    }
}

/// The one with less left, and of two with the same the one that has to wait for longer.
pub(super) fn stricter(one: Option<Note>, other: Option<Note>) -> Option<Note> {
    let by_what_is_left = |note: &Note| (note.remaining, std::cmp::Reverse(note.reset));
    one.into_iter().chain(other).min_by_key(by_what_is_left)
}

fn seconds(micros: u64) -> u64 {
    micros.div_ceil(1_000_000)
}
