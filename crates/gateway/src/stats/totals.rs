//! The totals of one route, taken from the snapshot.

use crate::telemetry::snapshot::RouteSnapshot;

/// Totals since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Totals {
    pub(super) name: String,
    pub(super) requests: u64,
    /// Answered with 5xx.
    pub(super) errors: u64,
    /// Answered from the store, without asking the origin.
    pub(super) hits: Part,
    /// Answered by asking the origin.
    pub(super) origin: Part,
}

/// Requests of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Part {
    pub(super) count: u64,
    pub(super) bytes: u64,
    /// To the heads of their responses.
    pub(super) seconds: f64,
}

impl Part {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.seconds += other.seconds;
    }

    /// What has come since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            count: self.count.saturating_sub(before.count),
            bytes: self.bytes.saturating_sub(before.bytes),
            seconds: (self.seconds - before.seconds).max(0.0),
        }
    }

    pub(super) fn mean(self) -> Option<f64> {
        (self.count > 0).then(|| self.seconds / self.count as f64)
    }
}

impl Totals {
    fn of(route: &RouteSnapshot) -> Self {
        let mut totals = Self { name: route.name.clone(), ..Self::default() };
        for requests in &route.requests {
            totals.requests += requests.count;
            totals.errors += if requests.status == "5xx" { requests.count } else { 0 };
        }
        for by_result in &route.latencies {
            let part = Part { count: by_result.latency.count, bytes: by_result.bytes, seconds: by_result.latency.sum_seconds };
            if by_result.result == "hit" { totals.hits.add(part) } else { totals.origin.add(part) }
        }
        totals
    }

    /// Seconds that the origin would have taken for the hits, going by what it took for the others, less what the hits took.
    pub(crate) fn saved_seconds(&self) -> f64 {
        self.saved_at(self.origin.mean())
    }

    /// The same where the origin takes so many seconds, as far as that is known.
    pub(super) fn saved_at(&self, origin_seconds: Option<f64>) -> f64 {
        origin_seconds.map_or(0.0, |cost| (cost * self.hits.count as f64 - self.hits.seconds).max(0.0))
    }

    /// What has come since `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            name: self.name.clone(),
            requests: self.requests.saturating_sub(before.requests),
            errors: self.errors.saturating_sub(before.errors),
            hits: self.hits.since(before.hits),
            origin: self.origin.since(before.origin),
        }
    }
}

/// The totals of each route.
pub(crate) fn totals(routes: &[RouteSnapshot]) -> Vec<Totals> {
    routes.iter().map(Totals::of).collect()
}
