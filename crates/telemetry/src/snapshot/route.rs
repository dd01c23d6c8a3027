//! Routes.

use serde::Serialize;

use super::LatencySnapshot;

/// The counters of one route.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RouteSnapshot {
    /// Its name; `-` for requests that were answered before a route was chosen.
    pub name: String,
    /// Requests by their labels, in a steady order.
    pub requests: Vec<RequestCount>,
    /// Latencies by what the cache did. Results that never happened are left out.
    pub latencies: Vec<ResultLatency>,
}

/// Requests that have all labels in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RequestCount {
    /// The method; `other` for one that is not registered.
    pub method: &'static str,
    /// The class of the status: `2xx`.
    pub status: &'static str,
    /// The cache result: `hit`, `miss`, `bypass`; `none` where it was never reached.
    pub result: &'static str,
    /// Why; `none` where no decision was taken.
    pub reason: &'static str,
    /// How many, since the start.
    pub count: u64,
}

/// Latencies and bytes of requests with one result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResultLatency {
    /// The cache result: `hit`, `miss`, `bypass`.
    pub result: &'static str,
    /// From a request's head to its response's head.
    pub latency: LatencySnapshot,
    /// Bytes of the responses' bodies, since the start.
    pub bytes: u64,
}
