//! What verification of one route has found.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder_semantics::guard::AnswersByClient;

use super::answer::Places;
use super::noise::Noise;
use super::report::Example;

/// Comparisons of one route at the same time.
const MAX_RUNNING: usize = 4;

/// Examples that are kept of each kind.
const MAX_EXAMPLES: usize = 10;

/// Places that an example tells.
const MAX_PLACES: usize = 8;

/// What has become of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Agreed,
    Differed,
    /// The answer depends on who asks.
    Leak,
    /// The origin failed, or the answer cannot be compared.
    NotJudged,
    /// There was no place to spare.
    Skipped,
}

impl Judgement {
    /// All of them, by their words in metrics.
    pub(crate) const ALL: [(&'static str, Self); 5] = [
        ("agreed", Self::Agreed),
        ("differed", Self::Differed),
        ("leak", Self::Leak),
        ("not-judged", Self::NotJudged),
        ("skipped", Self::Skipped),
    ];
}

/// What outlives a reload.
#[derive(Debug, Default)]
pub(super) struct State {
    counts: [AtomicU64; Judgement::ALL.len()],
    running: AtomicUsize,
    stopped: AtomicBool,
    found: Mutex<Found>,
}

/// What is known of a route.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) noise: Noise,
    pub(super) answers: AnswersByClient,
    /// The least age at which an answer had changed.
    pub(super) changed_after: Option<u32>,
    pub(super) oldest_agreed: u32,
    pub(super) stalest: u32,
    stale: VecDeque<Example>,
    leaks: VecDeque<Example>,
}

/// The right to one comparison.
pub(super) struct Running<'s>(&'s State);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl State {
    /// `None` while there are as many as may be.
    pub(super) fn begin(&self) -> Option<Running<'_>> {
        let begun = Running(self);
        (self.running.fetch_add(1, Ordering::Relaxed) < MAX_RUNNING).then_some(begun)
    }

    pub(super) fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, judgement: Judgement) {
        self.counts[judgement as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counted(&self, judgement: Judgement) -> u64 {
        self.counts[judgement as usize].load(Ordering::Relaxed)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether it was not stopped before.
    pub(super) fn stop(&self) -> bool {
        !self.stopped.swap(true, Ordering::Relaxed)
    }

    /// Whether it was stopped before. What led there is forgotten: it would lead there again at once.
    pub(super) fn resume(&self) -> bool {
        self.found().answers = AnswersByClient::default();
        self.stopped.swap(false, Ordering::Relaxed)
    }
}

impl Found {
    pub(super) fn agreed(&mut self, age: u32) {
        self.oldest_agreed = self.oldest_agreed.max(age);
    }

    pub(super) fn differed(&mut self, example: Example) {
        self.changed_after = Some(self.changed_after.map_or(example.age, |known| known.min(example.age)));
        self.stalest = self.stalest.max(example.age);
        keep(&mut self.stale, example);
    }

    pub(super) fn leaked(&mut self, example: Example) {
        keep(&mut self.leaks, Example { leak: true, ..example });
    }

    /// Leaks first, the newest of each first.
    pub(super) fn examples(&self) -> Vec<Example> {
        self.leaks.iter().rev().chain(self.stale.iter().rev()).cloned().collect()
    }
}

fn keep(examples: &mut VecDeque<Example>, example: Example) {
    examples.push_back(example);
    if examples.len() > MAX_EXAMPLES {
        examples.pop_front();
    }
}

/// The places that an example tells.
pub(super) fn told(places: &Places) -> Vec<String> {
    places.iter().take(MAX_PLACES).cloned().collect()
}
