//! The only place that reads a clock. Everything else is handed "now".

#![expect(clippy::disallowed_methods, reason = "this is the clock module")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use larder_semantics::Timestamp;

/// Where "now" comes from.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until its hand is moved.
    pub fn manual(start: Timestamp) -> (Self, ClockHand) {
        let millis = Arc::new(AtomicU64::new(start.as_millis()));
        (Self(Source::Manual(Arc::clone(&millis))), ClockHand(millis))
    }

    /// Now. A machine whose clock stands before 1970 is taken to be in 1970.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            Source::Manual(millis) => Timestamp::from_millis(millis.load(Ordering::Relaxed)),
        }
    }
}

/// Moves a manual clock.
#[derive(Clone, Debug)]
pub struct ClockHand(Arc<AtomicU64>);

impl ClockHand {
    /// Moves it on by whole seconds.
    pub fn advance(&self, secs: u64) {
        self.0.fetch_add(secs * 1000, Ordering::Relaxed);
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
