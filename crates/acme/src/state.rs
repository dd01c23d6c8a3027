//! What is known of each domain.

use std::time::Duration;

use larder_tls::{Facts, Pair};

/// From the first failure to the next attempt; then twice as long each time. An authority counts failures by the hour (Let's Encrypt: five).
const FIRST_PAUSE: Duration = Duration::from_secs(120);
const MAX_PAUSE: Duration = Duration::from_secs(3 * 3600);
/// After the authority has said that there were too many orders.
const RATE_LIMIT_PAUSE: Duration = Duration::from_secs(3600);

/// One domain.
#[derive(Debug, Default)]
pub(crate) struct DomainState {
    pub(crate) pair: Option<Pair>,
    /// Failures since the last certificate.
    pub(crate) failures: u32,
    /// Not before this time there is another attempt, in seconds since 1970.
    pub(crate) paused_until: u64,
    /// Why there was none at the last.
    pub(crate) problem: Option<String>,
    /// The store could not be read at the last look, which has been told.
    pub(crate) is_store_away: bool,
}

impl DomainState {
    /// Seconds from `now` to the next order; `None`: it is due.
    pub(crate) fn rest(&self, now: u64) -> Option<Duration> {
        let due = self.pair.as_ref().map_or(0, |pair| due(pair.facts())).max(self.paused_until);
        (due > now).then(|| Duration::from_secs(due - now))
    }

    /// Notes a failure. Returns the pause until the next attempt.
    pub(crate) fn failed(&mut self, now: u64, problem: String, is_rate_limit: bool) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(MAX_PAUSE);
        let pause = if is_rate_limit { pause.max(RATE_LIMIT_PAUSE) } else { pause };
        self.failures = self.failures.saturating_add(1);
        self.problem = Some(problem);
        self.paused_until = now + pause.as_secs();
        pause
    }

    /// Takes a certificate into use.
    pub(crate) fn take(&mut self, pair: Pair) {
        *self = Self { pair: Some(pair), ..Self::default() };
    }
}

/// When two thirds of a certificate's time are over: of ninety days there are thirty left to find out what is wrong, and of six days two.
pub(crate) fn due(facts: &Facts) -> u64 {
    facts.not_before + facts.not_after.saturating_sub(facts.not_before) / 3 * 2
}

/// What is known of a domain, for people and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainReport {
    /// The domain.
    pub domain: String,
    /// When its certificate ends, in seconds since 1970; `None`: it has none.
    pub not_after: Option<u64>,
    /// When the next is ordered, in seconds since 1970.
    pub next_order: u64,
    /// Failures since the last certificate.
    pub failures: u32,
    /// Why the last order came to nothing.
    pub problem: Option<String>,
}

impl DomainReport {
    pub(crate) fn of(domain: &str, state: &DomainState) -> Self {
        let due = state.pair.as_ref().map_or(0, |pair| due(pair.facts()));
        Self {
            domain: domain.to_owned(),
            not_after: state.pair.as_ref().map(|pair| pair.facts().not_after),
            next_order: due.max(state.paused_until),
            failures: state.failures,
            problem: state.problem.clone(),
        }
    }
}

/// Orders since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcmeCounts {
    /// That brought a certificate.
    pub issued: u64,
    /// That did not.
    pub failed: u64,
}
