//! The failures of a server in the log: the first with its reason, and then how many there were. A log line for each failed request would
//! hide other problems, and the access log has one already.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::UpstreamError;

/// Minimum time between two lines about the same server.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Failures of one server, as far as they were logged.
#[derive(Debug)]
pub(crate) struct FailureLog {
    name: Arc<str>,
    address: String,
    /// Beside the lock, so that a server that works takes no lock.
    failing: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: RateLimited,
    /// In a row.
    count: u64,
    /// Whether it is logged that this server fails.
    is_known: bool,
}

/// Logs an event at most once a minute, with the number of events since.
#[derive(Debug, Default)]
pub(crate) struct RateLimited {
    logged: Option<Instant>,
    pending: u64,
}

impl RateLimited {
    /// The number of events since the last log line, if this one is due.
    pub(crate) fn count_event(&mut self, now: Instant) -> Option<u64> {
        self.pending += 1;
        let due = self.logged.is_none_or(|logged| now.saturating_duration_since(logged) >= LOG_INTERVAL);
        due.then(|| {
            self.logged = Some(now);
            std::mem::take(&mut self.pending)
        })
    }
}

impl FailureLog {
    /// Of the server with this URL, and address where it has several, of the upstream with this name.
    pub(crate) fn new(name: &Arc<str>, address: &str) -> Self {
        Self { name: Arc::clone(name), address: address.to_owned(), failing: AtomicBool::new(false), state: Mutex::default() }
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
            let failures = state.failures.count_event(now);
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
    fn a_frequent_event_is_logged_once_and_then_counted() {
        let (mut limited, now) = (RateLimited::default(), Instant::now());
        assert_eq!(limited.count_event(now), Some(1));
        assert_eq!((limited.count_event(now), limited.count_event(now + LOG_INTERVAL / 2)), (None, None));
        assert_eq!(limited.count_event(now + LOG_INTERVAL), Some(3));
        assert_eq!(limited.count_event(now + LOG_INTERVAL), None);
    }

    #[test]
    fn an_error_is_logged_with_its_causes_each_of_them_once() {
        let inner = std::io::Error::other("the inner cause");
        let error = UpstreamError::Refused(Box::new(std::io::Error::other(inner)));
        assert_eq!(chain(&error), "the upstream refused the connection: the inner cause");
    }
}
