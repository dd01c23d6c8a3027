//! Whether an upstream is worth asking: after some failures in a row it is left alone for a while, then one request at a time tries.
//!
//! Without that, a hanging origin costs every request the whole time that it is waited for, though a stale response may be at hand.

use std::time::{Duration, Instant};

use larder_redis::{Breaker, BreakerState, Pass};
use larder_tower::clock::monotonic;

use super::error::UpstreamError;
use super::options::UpstreamOptions;
use super::trouble::Troubles;

/// What one upstream's exchanges came to lately.
pub(super) struct Health {
    breaker: Option<Breaker>,
    pause: Duration,
    pub(super) troubles: Troubles,
}

/// One exchange, until it is known how it went. Dropped before, it counts as nothing: its client has left.
pub(super) struct Attempt<'a> {
    health: &'a Health,
    pass: Option<Pass<'a>>,
}

impl Health {
    pub(super) fn new(options: &UpstreamOptions) -> Self {
        let breaker = options.breaker.map(|limit| Breaker::new(limit.failures, limit.open));
        Self { breaker, pause: options.breaker.map(|limit| limit.open).unwrap_or_default(), troubles: Troubles::new(options) }
    }

    /// What the breaker lets through.
    pub(super) fn state(&self) -> BreakerState {
        self.breaker.as_ref().map_or(BreakerState::Closed, |breaker| breaker.state(monotonic()))
    }

    /// Refuses what would be refused anyway once there is a place for it.
    pub(super) fn check(&self) -> Result<(), UpstreamError> {
        match self.state() {
            BreakerState::Open => Err(self.refusal(monotonic())),
            BreakerState::Closed | BreakerState::HalfOpen => Ok(()),
        }
    }

    /// An exchange begins, if the upstream may be asked.
    pub(super) fn attempt(&self) -> Result<Attempt<'_>, UpstreamError> {
        let Some(breaker) = &self.breaker else { return Ok(Attempt { health: self, pass: None }) };
        let now = monotonic();
        let pass = breaker.pass(now).ok_or_else(|| self.refusal(now))?;
        Ok(Attempt { health: self, pass: Some(pass) })
    }

    fn refusal(&self, now: Instant) -> UpstreamError {
        let left = self.breaker.as_ref().map(|breaker| breaker.left(now)).unwrap_or_default();
        let seconds = u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        UpstreamError::LeftAlone { retry_after: seconds.max(1) }
    }
}

impl Attempt<'_> {
    /// Says how it went, up to the response's head.
    pub(super) fn ended<T>(self, result: &Result<T, UpstreamError>) {
        match result {
            Ok(_) => {
                self.health.troubles.answered();
                if let Some(pass) = self.pass {
                    pass.succeeded();
                }
            }
            Err(error) if !error.is_origins() => {}
            Err(error) => {
                let now = monotonic();
                self.health.troubles.failed(error, now);
                if self.pass.is_some_and(|pass| pass.failed(now)) {
                    self.health.troubles.left_alone(self.health.pause);
                }
            }
        }
    }
}
