//! Upstreams.

use larder_store::BreakerState;
use serde::Serialize;

use super::{LabelledCount, LatencySnapshot};

/// One upstream.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UpstreamSnapshot {
    /// Its name.
    pub name: String,
    /// Exchanges since the start, by how they ended: a class of statuses, or an error type of RFC 9209. Those that never happened are left out.
    pub outcomes: Vec<LabelledCount>,
    /// From a request going out to its response's head, or its failure.
    pub latency: LatencySnapshot,
    /// How it stands; `None` once the configuration has it no more.
    pub state: Option<UpstreamState>,
}

/// How an upstream of the running configuration stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UpstreamState {
    /// Its position in the configuration, from 0.
    pub position: usize,
    /// Requests whose response has not ended.
    pub requests_in_flight: u64,
    /// Open connections, idle ones included.
    pub connections: u64,
    /// Connections made since the start.
    pub connects: u64,
    /// Requests sent again because a reused connection had died, since the start.
    pub retries: u64,
    /// Requests that wait in the queue.
    pub waiting: u64,
    /// Requests that were refused because the upstream had as many as it may have, since the start.
    pub refused: u64,
    /// Whether it is asked.
    pub breaker: Breaker,
}

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Breaker {
    /// Everything.
    #[default]
    Closed,
    /// One request at a time.
    HalfOpen,
    /// Nothing.
    Open,
}

impl From<BreakerState> for Breaker {
    fn from(state: BreakerState) -> Self {
        match state {
            BreakerState::Closed => Self::Closed,
            BreakerState::HalfOpen => Self::HalfOpen,
            BreakerState::Open => Self::Open,
        }
    }
}
