//! Counters and observers of an upstream.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};
use larder_message::OriginOutcome;

/// Told of every exchange with an origin.
pub trait OriginObserver: Send + Sync + 'static {
    /// The upstream with this index answered, or failed, this long after the request was given to it.
    fn answered(&self, upstream: usize, outcome: OriginOutcome, elapsed: Duration);
}

/// Told of the exchange of one request, for its log line and its trace. Called on the request's way: it must not wait.
pub trait ExchangeObserver: fmt::Debug + Send + Sync {
    /// The request is about to go out, for the first time or to another server: its fields may be changed.
    fn begins(&self, _fields: &mut HeaderMap) {}

    /// The head of the response is there, or will never be. Called once for each time that it went out.
    fn ended(&self, report: &ExchangeReport<'_>);
}

/// An exchange up to the head of its response.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeReport<'a> {
    /// The server that was asked: its URL, and the address where its name has several.
    pub server: &'a Arc<str>,
    /// How often the request had gone to a server before.
    pub resends: u32,
    /// From the request being ready for this server until now.
    pub times: (Instant, Instant),
    /// The time that its connection took, if that was made for it.
    pub connect: Option<(Instant, Instant)>,
    /// The status of the response, or the word for the failure (RFC 9209 §2.3).
    pub outcome: Result<StatusCode, &'static str>,
}

/// Counts of one upstream, or of one of its servers: those count for the upstream as well. Gauges and counters that only this process' view
/// makes up.
#[derive(Debug, Default)]
pub struct UpstreamStats {
    requests: AtomicU64,
    connections: AtomicU64,
    connects: AtomicU64,
    retries: AtomicU64,
    retries_refused: AtomicU64,
    /// The upstream's, where these are a server's.
    whole: Option<Arc<UpstreamStats>>,
}

impl UpstreamStats {
    /// The counts of a server of the upstream that has these.
    pub(crate) fn part_of(whole: &Arc<Self>) -> Arc<Self> {
        Arc::new(Self { whole: Some(Arc::clone(whole)), ..Self::default() })
    }

    /// Exchanges under way: from the request until the response body is done with.
    pub fn requests_in_flight(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Open connections, idle ones included.
    pub fn connections_open(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Connections ever made.
    pub fn connections_total(&self) -> u64 {
        self.connects.load(Ordering::Relaxed)
    }

    /// Requests ever sent once more: because a reused connection had died, or as `retry` allows.
    pub fn retries_total(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Requests that were not sent once more because the budget of `retry` was used up.
    pub fn retries_refused_total(&self) -> u64 {
        self.retries_refused.load(Ordering::Relaxed)
    }

    pub(crate) fn retried(&self) {
        self.each(|stats| _ = stats.retries.fetch_add(1, Ordering::Relaxed));
    }

    pub(crate) fn retry_refused(&self) {
        self.each(|stats| _ = stats.retries_refused.fetch_add(1, Ordering::Relaxed));
    }

    pub(crate) fn begin_request(self: &Arc<Self>) -> InFlight {
        InFlight::new(self, |stats| &stats.requests)
    }

    pub(crate) fn open_connection(self: &Arc<Self>) -> InFlight {
        self.each(|stats| _ = stats.connects.fetch_add(1, Ordering::Relaxed));
        InFlight::new(self, |stats| &stats.connections)
    }

    fn each(&self, count: impl Fn(&Self)) {
        count(self);
        self.whole.as_deref().into_iter().for_each(count);
    }
}

/// Counts as one for as long as it lives.
#[derive(Debug)]
pub(crate) struct InFlight {
    stats: Arc<UpstreamStats>,
    gauge: fn(&UpstreamStats) -> &AtomicU64,
}

impl InFlight {
    fn new(stats: &Arc<UpstreamStats>, gauge: fn(&UpstreamStats) -> &AtomicU64) -> Self {
        stats.each(|stats| _ = gauge(stats).fetch_add(1, Ordering::Relaxed));
        Self { stats: Arc::clone(stats), gauge }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.stats.each(|stats| _ = (self.gauge)(stats).fetch_sub(1, Ordering::Relaxed));
    }
}
