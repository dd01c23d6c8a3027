//! The JSON of `GET /stats`, which the command line reads back.

use serde::{Deserialize, Serialize};

use super::totals::Totals;
use crate::spending::SpendingReport;
use crate::telemetry::snapshot::UsageSnapshot;

/// Everything that is said of one moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct StatsReport {
    /// The time since the start, then the last minutes.
    pub(crate) windows: Vec<WindowReport>,
    /// Entries in memory, and the bytes that they take and may take.
    pub(crate) entries: u64,
    pub(crate) stored_bytes: u64,
    pub(crate) capacity_bytes: u64,
    /// Entries that had to make room, since the start.
    pub(crate) evicted: u64,
    /// Tokens of models' answers, since the start.
    #[serde(default)]
    pub(crate) models: Vec<ModelStats>,
    /// What models have cost and saved today and this month.
    #[serde(default)]
    pub(crate) spending: SpendingReport,
}

/// Tokens of the answers of a model under a route, that its provider counted or that stored answers have saved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelStats {
    pub(crate) model: String,
    pub(crate) route: String,
    /// `spent` or `saved`.
    pub(crate) outcome: String,
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// By `[prices]`.
    pub(crate) price: Option<f64>,
}

impl From<&UsageSnapshot> for ModelStats {
    fn from(usage: &UsageSnapshot) -> Self {
        let UsageSnapshot { route, model, outcome, input, output, price } = usage;
        let (input, output) = (*input, *output);
        Self { model: model.clone(), route: route.clone(), outcome: (*outcome).to_owned(), input, output, price: *price }
    }
}

/// A stretch of time up to now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct WindowReport {
    /// `start`, `1m`, `5m` or `15m`.
    pub(crate) window: String,
    /// How long it really is.
    pub(crate) seconds: f64,
    pub(crate) total: RouteStats,
    pub(crate) routes: Vec<RouteStats>,
}

/// One route, or all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RouteStats {
    pub(crate) route: String,
    pub(crate) requests: u64,
    /// Answered with 5xx.
    pub(crate) errors: u64,
    pub(crate) hits: u64,
    /// Of the requests that came as far as the cache; `None` where none did.
    pub(crate) ratio_by_requests: Option<f64>,
    pub(crate) bytes: u64,
    pub(crate) bytes_from_store: u64,
    pub(crate) ratio_by_bytes: Option<f64>,
    /// What the origin would have taken for the hits, going by what it took for the others; `None` where it was never asked.
    pub(crate) seconds_saved: f64,
    /// What it took for the others.
    pub(crate) seconds_spent: f64,
    pub(crate) ratio_by_time: Option<f64>,
    /// Requests that asked the origin.
    pub(crate) fetches: u64,
    /// To the head of a response, on average.
    pub(crate) hit_milliseconds: Option<f64>,
    pub(crate) origin_milliseconds: Option<f64>,
}

impl RouteStats {
    /// Of a route whose origin takes so many seconds, as far as that is known.
    pub(super) fn of(totals: &Totals, origin_seconds: Option<f64>) -> Self {
        let (hits, origin) = (totals.hits, totals.origin);
        let stats = Self {
            route: totals.name.clone(),
            requests: totals.requests,
            errors: totals.errors,
            hits: hits.count,
            bytes: hits.bytes + origin.bytes,
            bytes_from_store: hits.bytes,
            seconds_saved: totals.saved_at(origin_seconds),
            seconds_spent: origin.seconds,
            fetches: origin.count,
            hit_milliseconds: hits.mean().map(|seconds| seconds * 1000.0),
            origin_milliseconds: origin.mean().map(|seconds| seconds * 1000.0),
            ..Self::default()
        };
        stats.with_ratios()
    }

    pub(super) fn sum(routes: &[Self]) -> Self {
        let mut sum = Self { route: "all".to_owned(), ..Self::default() };
        let (mut hit_time, mut origin_time) = (0.0, 0.0);
        for route in routes {
            sum.requests += route.requests;
            sum.errors += route.errors;
            sum.hits += route.hits;
            sum.bytes += route.bytes;
            sum.bytes_from_store += route.bytes_from_store;
            sum.seconds_saved += route.seconds_saved;
            sum.seconds_spent += route.seconds_spent;
            sum.fetches += route.fetches;
            hit_time += route.hit_milliseconds.unwrap_or(0.0) * route.hits as f64;
            origin_time += route.origin_milliseconds.unwrap_or(0.0) * route.fetches as f64;
        }
        sum.hit_milliseconds = (sum.hits > 0).then(|| hit_time / sum.hits as f64);
        sum.origin_milliseconds = (sum.fetches > 0).then(|| origin_time / sum.fetches as f64);
        sum.with_ratios()
    }

    fn with_ratios(self) -> Self {
        let ratio = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        Self {
            ratio_by_requests: ratio(self.hits as f64, (self.hits + self.fetches) as f64),
            ratio_by_bytes: ratio(self.bytes_from_store as f64, self.bytes as f64),
            ratio_by_time: ratio(self.seconds_saved, self.seconds_saved + self.seconds_spent),
            ..self
        }
    }
}
