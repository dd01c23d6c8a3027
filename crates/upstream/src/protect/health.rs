//! The breaker of an upstream: after some failures in a row it opens for a while, then one request at a time tries.
//!
//! Without it, every request to a hanging origin waits for the whole timeout, though a stale response may be stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use larder_config::BreakerLimit;
use larder_store::{Breaker, BreakerState, Pass};
use larder_tower::clock::monotonic;

use crate::error::UpstreamError;

/// How the last exchanges with one upstream went, whichever of its servers they were with.
///
/// Only a failure during which no other exchange was answered counts. Otherwise a client could open the breaker with a few simultaneous
/// requests for a slow resource.
pub(crate) struct Health {
    /// Exchanges that were answered.
    answers: AtomicU64,
    breaker: Option<Breaker>,
    pause: Duration,
    name: Arc<str>,
}

/// One exchange, until its outcome is known. One that is dropped before does not count: its client has left.
pub(crate) struct Attempt<'a> {
    health: &'a Health,
    pass: Option<Pass<'a>>,
    /// `answers` when it began.
    answers: u64,
}

impl Health {
    /// Of the upstream with this name.
    pub(crate) fn new(name: &Arc<str>, limit: Option<BreakerLimit>) -> Self {
        let breaker = limit.map(|limit| Breaker::new(limit.failures, limit.open));
        let pause = limit.map(|limit| limit.open).unwrap_or_default();
        Self { answers: AtomicU64::new(0), breaker, pause, name: Arc::clone(name) }
    }

    /// The state of the breaker.
    pub(crate) fn state(&self) -> BreakerState {
        self.breaker.as_ref().map_or(BreakerState::Closed, |breaker| breaker.state(monotonic()))
    }

    /// Refuses at once instead of after waiting for a permit.
    pub(crate) fn check(&self) -> Result<(), UpstreamError> {
        let Some(breaker) = self.breaker.as_ref().filter(|breaker| !breaker.is_closed()) else { return Ok(()) };
        let now = monotonic();
        if breaker.state(now) == BreakerState::Open { Err(self.refusal(now)) } else { Ok(()) }
    }

    /// Begins an exchange, if the breaker lets it through.
    pub(crate) fn attempt(&self) -> Result<Attempt<'_>, UpstreamError> {
        let answers = self.answers.load(Ordering::Relaxed);
        let Some(breaker) = &self.breaker else { return Ok(Attempt { health: self, pass: None, answers }) };
        let pass = match breaker.pass_closed() {
            Some(pass) => pass,
            None => {
                let now = monotonic();
                breaker.pass(now).ok_or_else(|| self.refusal(now))?
            }
        };
        Ok(Attempt { health: self, pass: Some(pass), answers })
    }

    fn refusal(&self, now: Instant) -> UpstreamError {
        let left = self.breaker.as_ref().map(|breaker| breaker.left(now)).unwrap_or_default();
        let seconds = u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        UpstreamError::BreakerOpen { retry_after: seconds.max(1) }
    }
}

impl Attempt<'_> {
    /// Says how it went, up to the response's head.
    pub(crate) fn ended<T>(self, result: &Result<T, UpstreamError>) {
        match result {
            Ok(_) => {
                self.health.answers.fetch_add(1, Ordering::Relaxed);
                if let Some(pass) = self.pass {
                    pass.succeeded();
                }
            }
            Err(error) if !error.is_origin_failure() => {}
            Err(error) => {
                let now = monotonic();
                let is_alive = error.is_answer() || self.health.answers.load(Ordering::Relaxed) != self.answers;
                if !is_alive && self.pass.is_some_and(|pass| pass.failed(now)) {
                    let (upstream, seconds) = (&*self.health.name, self.health.pause.as_secs_f64());
                    tracing::warn!(upstream, seconds, "an upstream is left alone for a while");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(failures: u32) -> Health {
        let limit = BreakerLimit { failures, open: Duration::from_secs(3600) };
        Health::new(&"default".into(), Some(limit))
    }

    fn begin(health: &Health) -> Attempt<'_> {
        health.attempt().expect("it is asked")
    }

    #[test]
    fn an_upstream_that_fails_often_enough_is_left_alone_and_says_until_when() {
        let health = health(2);
        begin(&health).ended::<()>(&Err(UpstreamError::FirstByteTimeout));
        assert!(health.check().is_ok());
        begin(&health).ended::<()>(&Err(UpstreamError::Refused("refused".into())));
        assert!(matches!(health.check(), Err(UpstreamError::BreakerOpen { retry_after: 3600 })));
        assert!(health.attempt().is_err());
    }

    #[test]
    fn faults_of_clients_and_abandoned_requests_do_not_count() {
        let health = health(1);
        drop(begin(&health));
        for error in [UpstreamError::RequestStalled, UpstreamError::RequestTooLarge, UpstreamError::RequestBody("gone".into())] {
            begin(&health).ended::<()>(&Err(error));
        }
        assert!(health.check().is_ok());
    }

    #[test]
    fn an_upstream_that_answers_others_meanwhile_is_not_left_alone_because_one_url_hangs() {
        let health = health(1);
        let slow = begin(&health);
        begin(&health).ended(&Ok(()));
        slow.ended::<()>(&Err(UpstreamError::FirstByteTimeout));
        assert!(health.check().is_ok());
        begin(&health).ended::<()>(&Err(UpstreamError::FirstByteTimeout));
        assert!(health.check().is_err());
    }

    #[test]
    fn an_answer_that_cannot_be_understood_is_one() {
        let health = health(1);
        begin(&health).ended::<()>(&Err(UpstreamError::Protocol("rubbish".into())));
        assert!(health.check().is_ok());
    }
}
