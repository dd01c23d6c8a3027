//! The last hour, a point every few seconds: what charts show.

use std::collections::VecDeque;

use serde::Serialize;

use super::report::RouteStats;
use crate::telemetry::snapshot::{LatencySnapshot, Snapshot};

/// Points of an hour, one every [`INTERVAL`](super::history::INTERVAL).
const POINTS: usize = 3600 / 5;

/// What has come since the point before, and how things stood at the end of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Point {
    /// Its end, in seconds since 1970.
    pub(crate) at: u64,
    /// How long it is.
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
    /// Answered with 5xx.
    pub(crate) errors: u64,
    pub(crate) hits: u64,
    /// Requests that asked the origin.
    pub(crate) fetches: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_from_store: u64,
    /// What the origin would have taken for the hits, and what it took for the others.
    pub(crate) seconds_saved: f64,
    pub(crate) seconds_spent: f64,
    /// To the head of a response, in seconds; `None` where there was none.
    pub(crate) hit_p50: Option<f64>,
    pub(crate) hit_p99: Option<f64>,
    pub(crate) origin_p50: Option<f64>,
    pub(crate) origin_p99: Option<f64>,
    pub(crate) entries: u64,
    pub(crate) stored_bytes: u64,
}

/// Latencies since the start, of all routes together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Latencies {
    hits: LatencySnapshot,
    origin: LatencySnapshot,
}

/// The points, the oldest first. Bounded, whatever runs for how long.
#[derive(Debug, Default)]
pub(super) struct Hour {
    points: VecDeque<Point>,
    before: Latencies,
}

impl Latencies {
    fn of(snapshot: &Snapshot) -> Self {
        let mut latencies = Self::default();
        for by_result in snapshot.routes.iter().flat_map(|route| &route.latencies) {
            let sum = if by_result.result == "hit" { &mut latencies.hits } else { &mut latencies.origin };
            sum.add(&by_result.latency);
        }
        latencies
    }
}

impl Hour {
    /// Keeps what has come since the last call: `recent` are its requests, within so many `seconds`.
    pub(super) fn keep(&mut self, at: u64, seconds: f64, recent: &RouteStats, snapshot: &Snapshot) {
        let latencies = Latencies::of(snapshot);
        let (hits, origin) = (latencies.hits.since(&self.before.hits), latencies.origin.since(&self.before.origin));
        self.before = latencies;
        self.points.push_back(Point {
            at,
            seconds,
            requests: recent.requests,
            errors: recent.errors,
            hits: recent.hits,
            fetches: recent.fetches,
            bytes: recent.bytes,
            bytes_from_store: recent.bytes_from_store,
            seconds_saved: recent.seconds_saved,
            seconds_spent: recent.seconds_spent,
            hit_p50: hits.quantile(0.5),
            hit_p99: hits.quantile(0.99),
            origin_p50: origin.quantile(0.5),
            origin_p99: origin.quantile(0.99),
            entries: snapshot.store.entries,
            stored_bytes: snapshot.store.stored_bytes,
        });
        while self.points.len() > POINTS {
            self.points.pop_front();
        }
    }

    pub(super) fn points(&self) -> Vec<Point> {
        self.points.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::snapshot::{Bucket, ResultLatency, RouteSnapshot};

    fn snapshot(result: &'static str, count: u64) -> Snapshot {
        let buckets = vec![Bucket { max_seconds: Some(0.1), count }, Bucket { max_seconds: None, count: 0 }];
        let latency = LatencySnapshot { count, sum_seconds: 0.0, buckets };
        let route = RouteSnapshot {
            latencies: vec![ResultLatency { result, latency, bytes: 0, exemplars: Vec::new() }],
            ..RouteSnapshot::default()
        };
        Snapshot { routes: vec![route], ..Snapshot::default() }
    }

    #[test]
    fn a_point_has_only_what_came_since_the_one_before() {
        let mut hour = Hour::default();
        let recent = |requests| RouteStats { requests, ..RouteStats::default() };
        hour.keep(5, 5.0, &recent(3), &snapshot("hit", 3));
        hour.keep(10, 5.0, &recent(0), &snapshot("hit", 3));
        let points = hour.points();
        assert_eq!((points[0].requests, points[0].hit_p50, points[0].origin_p50), (3, Some(0.05), None));
        assert_eq!((points[1].requests, points[1].hit_p50), (0, None), "nothing has come since");
    }

    #[test]
    fn the_ring_keeps_an_hour() {
        let mut hour = Hour::default();
        (0..2000).for_each(|at| hour.keep(at, 5.0, &RouteStats::default(), &Snapshot::default()));
        let points = hour.points();
        assert_eq!((points.len(), points[0].at, points[POINTS - 1].at), (POINTS, 2000 - POINTS as u64, 1999));
    }
}
