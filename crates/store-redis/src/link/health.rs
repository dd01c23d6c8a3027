//! The state of one thing, for people: a problem is logged when it begins, once a minute while it lasts, and when it is over.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

/// After how long a problem that lasts is logged again.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// One thing that may be well or not.
#[derive(Debug)]
pub(crate) struct Health {
    /// Said before a problem: `Redis at 127.0.0.1:6379`.
    subject: String,
    problem: Mutex<Option<Problem>>,
}

#[derive(Debug)]
struct Problem {
    text: String,
    logged_at: Instant,
}

impl Health {
    pub(crate) fn new(subject: String) -> Self {
        Self { subject, problem: Mutex::default() }
    }

    pub(crate) fn set_problem(&self, text: String, now: Instant) {
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        let logged_at =
            problem.as_ref().map(|problem| problem.logged_at).filter(|logged_at| now.saturating_duration_since(*logged_at) < REPEAT_AFTER);
        if logged_at.is_none() {
            warn!("{}: {text}; going on with what is in memory", self.subject);
        }
        *problem = Some(Problem { text, logged_at: logged_at.unwrap_or(now) });
    }

    pub(crate) fn clear_problem(&self) {
        if self.problem.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            info!("{}: well again", self.subject);
        }
    }

    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|problem| problem.text.clone())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "instants of a test's own")]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_kept_as_it_is_now_until_it_is_over() {
        let (health, now) = (Health::new("it".to_owned()), Instant::now());
        assert_eq!(health.problem(), None);
        health.set_problem("one".to_owned(), now);
        health.set_problem("another".to_owned(), now + REPEAT_AFTER / 2);
        assert_eq!(health.problem().as_deref(), Some("another"));
        assert_eq!(health.problem.lock().unwrap().as_ref().unwrap().logged_at, now, "said once within the minute");
        health.set_problem("another".to_owned(), now + REPEAT_AFTER);
        assert_eq!(health.problem.lock().unwrap().as_ref().unwrap().logged_at, now + REPEAT_AFTER);
        health.clear_problem();
        assert_eq!(health.problem(), None);
    }
}
