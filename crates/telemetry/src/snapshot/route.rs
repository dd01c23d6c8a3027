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
    /// What its origin would have taken for the hits, going by what it took for the others, less what the hits took; since the start.
    pub saved_seconds: f64,
    /// Answers that guards found not to be for everyone. What was never found is left out.
    pub guarded: Vec<GuardFindings>,
    /// Its place in the running configuration; `None` once that has it no more.
    pub place: Option<RoutePlace>,
}

/// Answers that a guard found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GuardFindings {
    /// Why they are not for everyone.
    pub reason: &'static str,
    /// Those that were stored all the same, since the start.
    pub reported: u64,
    /// Those that were kept from being stored.
    pub refused: u64,
}

/// The place of a route in the running configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RoutePlace {
    /// Its class; empty where it has none.
    pub class: String,
    /// Its upstream.
    pub upstream: String,
    /// `public` or `identity`.
    pub scope: &'static str,
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
    /// The last traced request of each bucket that has had one.
    pub exemplars: Vec<Exemplar>,
}

/// A traced request, as an example of those in its bucket.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exemplar {
    /// The number of the bucket, from 0.
    pub bucket: usize,
    /// Its trace.
    pub trace_id: String,
    /// Its latency.
    pub seconds: f64,
}
