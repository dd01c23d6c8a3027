//! The only place that reads a clock. Everything else is handed "now".

#![expect(clippy::disallowed_methods, reason = "this is the clock module")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use larder_semantics::Timestamp;

/// Where "now" comes from.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    /// Milliseconds since 1970.
    now: AtomicU64,
    /// Where it began, and the instant that stands for that.
    start: (u64, Instant),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until its hand is moved.
    pub fn manual(start: Timestamp) -> (Self, ClockHand) {
        let start = start.as_millis();
        let manual = Arc::new(Manual { now: AtomicU64::new(start), start: (start, monotonic()) });
        (Self(Source::Manual(Arc::clone(&manual))), ClockHand(manual))
    }

    /// Now. A machine whose clock stands before 1970 is taken to be in 1970.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            Source::Manual(manual) => Timestamp::from_millis(manual.now.load(Ordering::Relaxed)),
        }
    }

    /// Now as an instant, for durations that have to follow this clock.
    pub fn instant(&self) -> Instant {
        match &self.0 {
            Source::System => monotonic(),
            Source::Manual(manual) => {
                let (start, instant) = manual.start;
                instant + Duration::from_millis(manual.now.load(Ordering::Relaxed).saturating_sub(start))
            }
        }
    }
}

/// Moves a manual clock.
#[derive(Clone, Debug)]
pub struct ClockHand(Arc<Manual>);

impl ClockHand {
    /// Moves it on by whole seconds.
    pub fn advance(&self, secs: u64) {
        self.advance_by(Duration::from_secs(secs));
    }

    /// Moves it on by whole milliseconds.
    pub fn advance_by(&self, time: Duration) {
        self.0.now.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Now as the runtime's timers have it.
pub fn timer_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// The machine's time, where only that will do.
pub fn wall() -> Timestamp {
    Clock::system().now()
}

/// A monotonic instant, for durations.
pub fn monotonic() -> Instant {
    Instant::now()
}
