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
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UpstreamState {
    /// Its position in the configuration, from 0.
    pub position: usize,
    /// Requests whose response has not ended.
    pub requests_in_flight: u64,
    /// Open connections, idle ones included.
    pub connections: u64,
    /// Connections made since the start.
    pub connects: u64,
    /// Requests sent again, because a reused connection had died or as `retry` says, since the start.
    pub retries: u64,
    /// Requests not sent again because the budget of `retry` was used up, since the start.
    pub retries_refused: u64,
    /// Requests that wait in the queue.
    pub waiting: u64,
    /// Requests that were refused because the upstream had as many as it may have, since the start.
    pub refused: u64,
    /// Requests that were held back because the upstream had said that it takes no more, since the start.
    pub held: u64,
    /// Whether it is asked.
    pub breaker: Breaker,
    /// Its servers, in the order of the configuration.
    pub servers: Vec<ServerSnapshot>,
}

/// How one server of an upstream stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServerSnapshot {
    /// Its URL, and the address where its name has several.
    pub server: String,
    /// Its share of the requests, compared with the others'.
    pub weight: u32,
    /// Whether it is asked only while no other can be.
    pub backup: bool,
    /// Whether it is left out because it failed.
    pub ejected: bool,
    /// Whether its health check, if it has one, has not failed.
    pub healthy: bool,
    /// How often it was left out.
    pub ejections: u64,
    /// Requests that it has answered.
    pub answers: u64,
    /// Requests that it has failed to answer, or has answered with 502, 503 or 504.
    pub failures: u64,
    /// Requests whose response has not ended.
    pub requests_in_flight: u64,
    /// Open connections, idle ones included.
    pub connections: u64,
    /// Seconds to its response's head by which it is compared with others; `None` where there are no others.
    pub latency_seconds: Option<f64>,
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
