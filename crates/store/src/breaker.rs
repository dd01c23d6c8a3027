//! A circuit breaker: after some failures in a row it refuses all requests for a while, then it lets one try again in each such while,
//! until one succeeds.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The requests that the breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// One at a time.
    HalfOpen,
    /// Nothing.
    Open,
}

/// Counts failures in a row. While it is closed, passing costs one atomic load.
#[derive(Debug)]
pub struct Breaker {
    max_failures: u32,
    pause: Duration,
    failures: AtomicU32,
    open: AtomicBool,
    tripped: Mutex<Tripped>,
}

#[derive(Debug, Default)]
struct Tripped {
    until: Option<Instant>,
    /// When the last of the probes under way began. One that takes long, such as an upload, holds up nobody for longer than the pause.
    probing: Option<Instant>,
}

/// The right to make one request. Dropped without a result (its client left), it counts neither as a success nor as a failure.
#[derive(Debug)]
pub struct Pass<'a> {
    breaker: &'a Breaker,
    /// When it began, if it is a probe.
    probe: Option<Instant>,
}

impl Breaker {
    /// Opens after so many failures in a row, for `pause`.
    pub fn new(failures: u32, pause: Duration) -> Self {
        Self { max_failures: failures.max(1), pause, failures: AtomicU32::new(0), open: AtomicBool::new(false), tripped: Mutex::default() }
    }

    /// Whether it lets everything through, which nobody needs a clock to know.
    pub fn is_closed(&self) -> bool {
        !self.open.load(Ordering::Acquire)
    }

    /// As [`Self::pass`] while it is closed; `None` otherwise.
    pub fn pass_closed(&self) -> Option<Pass<'_>> {
        self.is_closed().then(|| Pass { breaker: self, probe: None })
    }

    /// `None` while it is open, or another request has begun to try less than the pause ago.
    pub fn pass(&self, now: Instant) -> Option<Pass<'_>> {
        if let Some(pass) = self.pass_closed() {
            return Some(pass);
        }
        let mut tripped = self.tripped.lock().unwrap_or_else(PoisonError::into_inner);
        let is_tried = tripped.probing.is_some_and(|since| now.saturating_duration_since(since) < self.pause);
        let due = tripped.until.is_none_or(|until| until <= now) && !is_tried;
        if due {
            tripped.probing = Some(now);
        }
        // Made only where it is due: dropping an unused pass would end the probe.
        due.then(|| Pass { breaker: self, probe: Some(now) })
    }

    /// Its state now.
    pub fn state(&self, now: Instant) -> BreakerState {
        if !self.open.load(Ordering::Acquire) {
            return BreakerState::Closed;
        }
        let tripped = self.tripped.lock().unwrap_or_else(PoisonError::into_inner);
        if tripped.until.is_none_or(|until| until <= now) { BreakerState::HalfOpen } else { BreakerState::Open }
    }

    /// How long it still refuses all requests; zero while it is closed or half open.
    pub fn left(&self, now: Instant) -> Duration {
        if !self.open.load(Ordering::Acquire) {
            return Duration::ZERO;
        }
        let until = self.tripped.lock().unwrap_or_else(PoisonError::into_inner).until;
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Closes it at once, because the other side has been seen to work.
    pub fn close(&self) {
        let mut tripped = self.tripped.lock().unwrap_or_else(PoisonError::into_inner);
        *tripped = Tripped::default();
        self.failures.store(0, Ordering::Relaxed);
        self.open.store(false, Ordering::Release);
    }

    fn trip(&self, now: Instant) -> bool {
        let mut tripped = self.tripped.lock().unwrap_or_else(PoisonError::into_inner);
        *tripped = Tripped { until: now.checked_add(self.pause), probing: None };
        !self.open.swap(true, Ordering::Release)
    }
}

impl Pass<'_> {
    /// The request succeeded.
    pub fn succeeded(self) {
        if self.probe.is_some() {
            self.breaker.close();
        } else {
            self.breaker.failures.store(0, Ordering::Relaxed);
        }
    }

    /// `true` if this failure is the one that opened it.
    pub fn failed(self, now: Instant) -> bool {
        let failures = self.breaker.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let is_probe = self.is_last_probe();
        if !is_probe && self.breaker.open.load(Ordering::Acquire) {
            // It began before the breaker opened, or before the last probe, so it says nothing about the pause.
            return false;
        }
        (is_probe || failures >= self.breaker.max_failures) && self.breaker.trip(now)
    }

    fn is_last_probe(&self) -> bool {
        self.probe.is_some() && self.breaker.tripped.lock().unwrap_or_else(PoisonError::into_inner).probing == self.probe
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_last_probe() {
            self.breaker.tripped.lock().unwrap_or_else(PoisonError::into_inner).probing = None;
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "instants of a test's own")]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let (breaker, now) = (Breaker::new(3, PAUSE), Instant::now());
        let pass = || breaker.pass(now).expect("closed");
        assert!(!pass().failed(now));
        assert!(!pass().failed(now));
        pass().succeeded();
        assert!(!pass().failed(now));
        assert!(!pass().failed(now));
        assert!(pass().failed(now), "the third in a row");
        assert!(breaker.pass(now).is_none());
        assert_eq!(breaker.state(now), BreakerState::Open);
    }

    #[test]
    fn after_the_pause_one_tries() {
        let (breaker, now) = (Breaker::new(1, PAUSE), Instant::now());
        breaker.pass(now).expect("closed").failed(now);
        let later = now + PAUSE;
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        let probe = breaker.pass(later).expect("due");
        assert!(breaker.pass(later).is_none(), "one at a time");
        probe.failed(later);
        assert!(breaker.pass(later).is_none(), "another pause");
        breaker.pass(later + PAUSE).expect("due").succeeded();
        assert_eq!(breaker.state(later), BreakerState::Closed);
    }

    #[test]
    fn a_failure_that_began_before_it_opened_changes_nothing() {
        let (breaker, now) = (Breaker::new(2, PAUSE), Instant::now());
        let (first, second, late) = (breaker.pass(now), breaker.pass(now), breaker.pass(now));
        assert!(!first.expect("closed").failed(now) && second.expect("closed").failed(now));
        assert_eq!(breaker.left(now), PAUSE);
        let probe = breaker.pass(now + PAUSE).expect("due");
        assert!(!late.expect("closed").failed(now + PAUSE));
        assert_eq!(breaker.left(now + PAUSE), Duration::ZERO, "the pause is as long as it was");
        assert!(breaker.pass(now + PAUSE).is_none(), "one is trying");
        probe.succeeded();
        assert!(breaker.pass(now + PAUSE).is_some());
    }

    #[test]
    fn a_probe_that_is_given_up_lets_the_next_one_try() {
        let (breaker, now) = (Breaker::new(1, PAUSE), Instant::now());
        breaker.pass(now).expect("closed").failed(now);
        drop(breaker.pass(now + PAUSE));
        assert!(breaker.pass(now + PAUSE).is_some());
    }

    #[test]
    fn a_probe_that_lasts_holds_up_no_other_for_longer_than_the_pause() {
        let (breaker, now) = (Breaker::new(1, PAUSE), Instant::now());
        breaker.pass(now).expect("closed").failed(now);
        let begun = now + PAUSE;
        let upload = breaker.pass(begun).expect("due");
        let next = begun + PAUSE;
        assert!(breaker.pass(next - Duration::from_millis(1)).is_none(), "one is trying");
        let second = breaker.pass(next).expect("the first has had its time");
        assert!(breaker.pass(next).is_none(), "that one is trying now");
        assert!(!upload.failed(next), "the later one decides");
        assert_eq!(breaker.left(next), Duration::ZERO);
        second.succeeded();
        assert_eq!(breaker.state(next), BreakerState::Closed);
    }

    #[test]
    fn a_probe_that_fails_after_another_succeeded_is_a_failure_like_any() {
        let (breaker, now) = (Breaker::new(2, PAUSE), Instant::now());
        let pass = || breaker.pass(now).expect("closed");
        let _ = (pass().failed(now), pass().failed(now));
        let late = breaker.pass(now + PAUSE).expect("due");
        breaker.pass(now + 2 * PAUSE).expect("due").succeeded();
        assert!(!late.failed(now + 2 * PAUSE), "the first of two");
        assert_eq!(breaker.state(now + 2 * PAUSE), BreakerState::Closed);
    }

    #[test]
    fn a_pause_ends_early_when_it_is_seen_to_work() {
        let (breaker, now) = (Breaker::new(1, PAUSE), Instant::now());
        breaker.pass(now).expect("closed").failed(now);
        breaker.close();
        assert!(breaker.pass(now).is_some());
    }
}
