//! What is wrong now, for people: told when it begins, once a minute while it lasts, and when it is over.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

/// How often it is said again.
const AGAIN: Duration = Duration::from_secs(60);

/// One thing that may be well or not.
#[derive(Debug)]
pub(crate) struct Health {
    /// Said before a problem: `Redis at 127.0.0.1:6379`.
    what: String,
    problem: Mutex<Option<Problem>>,
}

#[derive(Debug)]
struct Problem {
    text: String,
    said: Instant,
}

impl Health {
    pub(crate) fn new(what: String) -> Self {
        Self { what, problem: Mutex::default() }
    }

    pub(crate) fn ails(&self, text: String, now: Instant) {
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        let said = problem.as_ref().map(|problem| problem.said).filter(|said| now.saturating_duration_since(*said) < AGAIN);
        if said.is_none() {
            warn!("{}: {text}; going on with what is in memory", self.what);
        }
        *problem = Some(Problem { text, said: said.unwrap_or(now) });
    }

    pub(crate) fn is_well(&self) {
        if self.problem.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            info!("{}: well again", self.what);
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
        health.ails("one".to_owned(), now);
        health.ails("another".to_owned(), now + AGAIN / 2);
        assert_eq!(health.problem().as_deref(), Some("another"));
        assert_eq!(health.problem.lock().unwrap().as_ref().unwrap().said, now, "said once within the minute");
        health.ails("another".to_owned(), now + AGAIN);
        assert_eq!(health.problem.lock().unwrap().as_ref().unwrap().said, now + AGAIN);
        health.is_well();
        assert_eq!(health.problem(), None);
    }
}
