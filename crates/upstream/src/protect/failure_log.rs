//! What the log hears of an upstream: its first failure with a name, and then how many there were. A log line for each failed request would
//! drown what else goes wrong, and there is one in the access log already.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use larder_config::UpstreamUrl;

use crate::error::UpstreamError;

/// Between two lines about the same upstream.
const QUIET: Duration = Duration::from_secs(60);

/// Failures of one upstream, as far as they were told.
pub(crate) struct Troubles {
    name: Arc<str>,
    address: String,
    /// Kept beside the lock, so that an upstream that works takes none.
    failing: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: Rarely,
    /// In a row.
    count: u64,
    /// Whether the log has it that this upstream fails.
    is_known: bool,
}

/// Says at most once in a while that something happens, and how often it did since.
#[derive(Default)]
pub(super) struct Rarely {
    told: Option<Instant>,
    untold: u64,
}

impl Rarely {
    /// How often it happened since it was told last, if it is to be told now.
    pub(super) fn happens(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        let due = self.told.is_none_or(|told| now.saturating_duration_since(told) >= QUIET);
        due.then(|| {
            self.told = Some(now);
            std::mem::take(&mut self.untold)
        })
    }
}

impl Troubles {
    pub(crate) fn new(name: &Arc<str>, url: &UpstreamUrl) -> Self {
        Self { name: Arc::clone(name), address: url.to_string(), failing: AtomicBool::new(false), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An exchange failed.
    pub(crate) fn failed(&self, error: &UpstreamError, now: Instant) {
        let failures = {
            let mut state = self.lock();
            self.failing.store(true, Ordering::Relaxed);
            state.count += 1;
            let failures = state.failures.happens(now);
            state.is_known |= failures.is_some();
            failures
        };
        if let Some(failures) = failures {
            let (upstream, address, phase) = (&*self.name, &*self.address, error.phase());
            tracing::warn!(upstream, address, phase, error = %chain(error), failures, "an upstream fails");
        }
    }

    /// An exchange was answered.
    pub(crate) fn answered(&self) {
        if !self.failing.load(Ordering::Relaxed) {
            return;
        }
        let (is_known, failures) = {
            let mut state = self.lock();
            self.failing.store(false, Ordering::Relaxed);
            (std::mem::take(&mut state.is_known), std::mem::take(&mut state.count))
        };
        if is_known {
            tracing::info!(upstream = &*self.name, address = &*self.address, failures, "an upstream answers again");
        }
    }

    /// The breaker has opened.
    pub(crate) fn left_alone(&self, pause: Duration) {
        let seconds = pause.as_secs_f64();
        tracing::warn!(upstream = &*self.name, address = &*self.address, seconds, "an upstream is left alone for a while");
    }
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Wrappers often say what they wrap.
        if !text.ends_with(&cause_text) {
            let _infallible = write!(text, ": {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "instants of a test's own")]
mod tests {
    use super::*;

    #[test]
    fn what_happens_often_is_told_once_and_then_counted() {
        let (mut rarely, now) = (Rarely::default(), Instant::now());
        assert_eq!(rarely.happens(now), Some(1));
        assert_eq!((rarely.happens(now), rarely.happens(now + QUIET / 2)), (None, None));
        assert_eq!(rarely.happens(now + QUIET), Some(3));
        assert_eq!(rarely.happens(now + QUIET), None);
    }

    #[test]
    fn an_error_is_told_with_its_causes_each_of_them_once() {
        let inner = std::io::Error::other("the inner cause");
        let error = UpstreamError::Refused(Box::new(std::io::Error::other(inner)));
        assert_eq!(chain(&error), "the upstream refused the connection: the inner cause");
    }
}
