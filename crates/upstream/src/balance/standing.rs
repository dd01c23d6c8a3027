//! What is known of one server: its counts, how fast it answers, and whether it is left out. A reload that keeps the server keeps all of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use larder_config::Eject;
use larder_tower::clock::monotonic;

use super::ejection::History;
use super::latency::Latency;
use crate::check::streak::Streak;
use crate::error::UpstreamError;
use crate::observe::UpstreamStats;
use crate::protect::failure_log::FailureLog;

/// The standing of one server.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Its URL, and the address where its name has several.
    pub(crate) label: Arc<str>,
    pub(crate) stats: Arc<UpstreamStats>,
    pub(crate) latency: Latency,
    pub(super) log: FailureLog,
    upstream: Arc<str>,
    answers: AtomicU64,
    failures: AtomicU64,
    ejections: AtomicU64,
    is_ejected: AtomicBool,
    /// Whether its health check has failed.
    is_down: AtomicBool,
    /// The last answers to its health check.
    streak: Mutex<Option<Streak>>,
    /// Nanoseconds from `known` to when it came back; 0 where it never was away, or has its full share again.
    back: AtomicU64,
    known: Instant,
    history: Mutex<History>,
}

/// One exchange with a server, until its head is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began {
    at: Instant,
    answers: u64,
}

/// What a failure counts as in a server's latency, at least: one that fails fast must not look like the fastest.
const FAILURE: Duration = Duration::from_secs(1);

impl Standing {
    /// Of a server that was not known before.
    pub(crate) fn new(upstream: &Arc<str>, label: &str, whole: &Arc<UpstreamStats>) -> Self {
        Self {
            label: label.into(),
            stats: UpstreamStats::part_of(whole),
            latency: Latency::default(),
            log: FailureLog::new(upstream, label),
            upstream: Arc::clone(upstream),
            answers: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            ejections: AtomicU64::new(0),
            is_ejected: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
            streak: Mutex::default(),
            back: AtomicU64::new(0),
            known: monotonic(),
            history: Mutex::default(),
        }
    }

    /// Whether requests may go to it.
    pub(crate) fn is_up(&self) -> bool {
        !self.is_ejected() && self.is_healthy()
    }

    /// Whether its health check, if it has one, has not failed.
    pub(crate) fn is_healthy(&self) -> bool {
        !self.is_down.load(Ordering::Relaxed)
    }

    /// The last answers to its health check.
    pub(crate) fn streak(&self) -> Option<Streak> {
        *self.streak.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is not asked any more whether it works.
    pub(crate) fn unchecked(&self) {
        let mut streak = self.streak.lock().unwrap_or_else(PoisonError::into_inner);
        *streak = None;
        self.is_down.store(false, Ordering::Relaxed);
    }

    /// Takes in an answer to its health check: what it makes of the row of answers, and the verdict if that is one. The answer counts for nothing
    /// where `is_over`, asked while nobody else says anything of this server: a check that has ended must not mark what no other check looks at.
    pub(crate) fn checked(&self, streak: Streak, verdict: Option<bool>, reason: &str, is_over: impl FnOnce() -> bool) {
        let mut known = self.streak.lock().unwrap_or_else(PoisonError::into_inner);
        if is_over() {
            return;
        }
        *known = Some(streak);
        let Some(is_up) = verdict else { return };
        let was_down = self.is_down.swap(!is_up, Ordering::Relaxed);
        drop(known);
        if was_down != is_up {
            return;
        }
        let (upstream, server) = (&*self.upstream, &*self.label);
        if is_up {
            self.comes_back(monotonic());
            tracing::info!(upstream, server, "a server of an upstream passes its health check again");
        } else {
            tracing::warn!(upstream, server, reason, "a server of an upstream fails its health check and is left out");
        }
    }

    /// Whether it is left out because it failed.
    pub(crate) fn is_ejected(&self) -> bool {
        self.is_ejected.load(Ordering::Relaxed)
    }

    /// Requests that it has answered.
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Requests that it has failed to answer, or has answered with 502, 503 or 504.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How often it was left out.
    pub(crate) fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// A request is sent to it.
    pub(crate) fn begin(&self) -> Began {
        Began { at: monotonic(), answers: self.answers() }
    }

    /// Notes how a request went, up to the response's head. Returns whether that speaks against the server.
    pub(crate) fn ended(&self, status: Result<StatusCode, &UpstreamError>) -> bool {
        match status {
            Ok(status) => {
                self.log.answered();
                let is_failure = matches!(status.as_u16(), 502..=504);
                let count = if is_failure { &self.failures } else { &self.answers };
                count.fetch_add(1, Ordering::Relaxed);
                is_failure
            }
            Err(error) if !error.is_origin_failure() => false,
            Err(error) => {
                self.log.failed(error, monotonic());
                let count = if error.is_answer() { &self.answers } else { &self.failures };
                count.fetch_add(1, Ordering::Relaxed);
                !error.is_answer()
            }
        }
    }

    /// Takes in how long a request took.
    pub(crate) fn took(&self, began: Began, has_failed: bool) {
        let now = monotonic();
        let elapsed = now.saturating_duration_since(began.at);
        self.latency.measured(if has_failed { elapsed.max(FAILURE) } else { elapsed }, now);
    }

    /// How long it is to be left out, where a failure is one too many. A request that got no answer in time counts only where no other was
    /// answered meanwhile, or a few requests for a slow resource would do.
    pub(crate) fn is_failing(&self, began: Began, error: Option<&UpstreamError>, limit: &Eject) -> Option<Duration> {
        let answers = self.answers();
        let is_slow_alone = matches!(error, Some(UpstreamError::FirstByteTimeout)) && answers != began.answers;
        // Requests that began before it was left out say nothing new.
        if is_slow_alone || self.is_ejected() {
            return None;
        }
        self.history().failed(monotonic(), answers, limit)
    }

    /// Leaves it out for `pause`. A task lets it in again.
    pub(crate) fn eject(self: &Arc<Self>, pause: Duration) {
        if self.is_ejected.swap(true, Ordering::Relaxed) {
            return;
        }
        self.ejections.fetch_add(1, Ordering::Relaxed);
        self.history().ejected();
        let (upstream, server, seconds) = (&*self.upstream, &*self.label, pause.as_secs_f64());
        tracing::warn!(upstream, server, seconds, "a server of an upstream fails and is left out for a while");
        let standing = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if let Some(standing) = standing.upgrade() {
                standing.readmit(pause);
            }
        });
    }

    fn readmit(&self, pause: Duration) {
        let now = monotonic();
        self.history().returned(now, pause, self.answers());
        self.comes_back(now);
        self.is_ejected.store(false, Ordering::Relaxed);
        tracing::info!(upstream = &*self.upstream, server = &*self.label, "a server of an upstream is asked again");
    }

    /// From now on it gets its share slowly.
    pub(crate) fn comes_back(&self, now: Instant) {
        let since = u64::try_from(now.saturating_duration_since(self.known).as_nanos()).unwrap_or(u64::MAX);
        self.back.store(since.max(1), Ordering::Relaxed);
    }

    /// How much of its share it gets: from a tenth when it has come back to all of it after `warm_up`.
    pub(crate) fn warmth(&self, warm_up: Duration, now: Instant) -> f64 {
        const LEAST: f64 = 0.1;
        let back = self.back.load(Ordering::Relaxed);
        if back == 0 {
            return 1.0;
        }
        let elapsed = now.saturating_duration_since(self.known + Duration::from_nanos(back));
        if elapsed >= warm_up {
            self.back.store(0, Ordering::Relaxed);
            return 1.0;
        }
        (elapsed.as_secs_f64() / warm_up.as_secs_f64()).max(LEAST)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Standing {
        Standing::new(&"api".into(), "http://a", &Arc::default())
    }

    #[test]
    fn a_server_that_comes_back_gets_its_share_in_steps_and_one_that_was_never_away_at_once() {
        let (standing, warm_up) = (standing(), Duration::from_secs(100));
        let now = standing.known + Duration::from_secs(1);
        assert_eq!(standing.warmth(warm_up, now), 1.0);
        standing.comes_back(now);
        assert_eq!(standing.warmth(warm_up, now), 0.1);
        let half = standing.warmth(warm_up, now + warm_up / 2);
        assert!((0.49..0.51).contains(&half), "{half}");
        assert_eq!(standing.warmth(warm_up, now + warm_up), 1.0);
        assert_eq!(standing.warmth(warm_up, now), 1.0, "it is over");
    }

    #[test]
    fn gateway_errors_and_silence_speak_against_a_server_other_answers_do_not() {
        let standing = standing();
        let status = |code: u16| Ok(StatusCode::from_u16(code).expect("a status"));
        for (outcome, speaks_against_it) in [
            (status(200), false),
            (status(404), false),
            (status(500), false),
            (status(502), true),
            (status(503), true),
            (status(504), true),
            (Err(&UpstreamError::FirstByteTimeout), true),
            (Err(&UpstreamError::Protocol("rubbish".into())), false),
            (Err(&UpstreamError::RequestStalled), false),
        ] {
            assert_eq!(standing.ended(outcome), speaks_against_it, "{outcome:?}");
        }
        assert_eq!((standing.answers(), standing.failures()), (4, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_left_out_is_asked_again_when_its_pause_is_over() {
        let standing = Arc::new(standing());
        standing.eject(Duration::from_secs(30));
        tokio::time::sleep(Duration::from_secs(29)).await;
        assert!(standing.is_ejected());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((standing.is_ejected(), standing.ejections()), (false, 1));
    }
}
