//! Counters and latency histograms of requests, exchanges and operations on Redis.
//!
//! A request is recorded on the answering task, so recording it costs a few nanoseconds: labels are small integers, every thread writes
//! cells of its own (`sharded`), and nothing is locked, hashed, formatted or (after a route's first requests) allocated. Sums over threads
//! and label text are made for a [`snapshot`](crate::snapshot) only.
//!
//! 1. [`Metrics::request`] and [`Metrics::origin`] pick the route or upstream by its index.
//! 2. Its cells of this thread (`sharded`) get one more: in `tally` for the labels, in `histogram` for the time.
//! 3. [`Metrics::routes`] and [`Metrics::upstreams`] add the cells of all threads up.

mod disk;
mod histogram;
mod labels;
mod operations;
mod recoding;
mod redis;
mod route;
mod sharded;
mod tally;
mod upstream;
mod usage;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use larder_message::OriginOutcome;
use larder_semantics::Reason;
use larder_tower::CacheResult;

pub use disk::DiskMetrics;
pub use labels::method_word;
pub use recoding::Recoded;
pub use redis::RedisMetrics;
pub use usage::{UsageOutcome, UsageRecord};

use crate::snapshot::{LabelledCount, RouteSnapshot, UpstreamSnapshot, UpstreamState, UsageSnapshot};
use crate::traces::TraceId;
use labels::Labels;
use recoding::Recodings;
use route::RouteMetrics;
use upstream::UpstreamMetrics;
use usage::Usages;

/// The route label of requests that were answered before a route was chosen (refused, or no route fits).
const UNROUTED: &str = "-";

/// The record of one request.
#[derive(Clone, Copy, Debug)]
pub struct RequestRecord<'a> {
    /// The client's method; `None` where no request could be read.
    pub method: Option<&'a Method>,
    /// The status sent to the client.
    pub status: StatusCode,
    /// `None` where the cache was never reached.
    pub result: Option<CacheResult>,
    /// `None` where no decision was taken.
    pub reason: Option<Reason>,
    /// From the request's head being read to the response's head being ready. The body is left out: its time is the client's
    /// bandwidth, or hours in a stream of events.
    pub elapsed: Duration,
    /// Bytes of the response's body, where they are known beforehand; [`Metrics::bytes`] counts others.
    pub bytes: Option<u64>,
}

/// The metrics as one configuration sees them: its routes and upstreams by index. Configurations share what they have in common through
/// [`Metrics::reconfigure`], so requests that still run under the old one are counted too.
#[derive(Debug)]
pub struct Metrics {
    routes: Box<[Arc<RouteMetrics>]>,
    unrouted: Arc<RouteMetrics>,
    upstreams: Box<[Arc<UpstreamMetrics>]>,
    families: Arc<Families>,
}

impl Metrics {
    /// Metrics of a process that starts. Names are label values; the indexes of the two lists are what later calls name.
    pub fn new(routes: &[&str], upstreams: &[&str]) -> Self {
        Self::over(Arc::default(), routes, upstreams)
    }

    /// The metrics for a new configuration: a route or upstream keeps its counts by name, new ones start at 0, and those that are gone stay
    /// exposed, because a counter that vanishes reads as a restart.
    pub fn reconfigure(&self, routes: &[&str], upstreams: &[&str]) -> Self {
        Self::over(Arc::clone(&self.families), routes, upstreams)
    }

    fn over(families: Arc<Families>, routes: &[&str], upstreams: &[&str]) -> Self {
        Self {
            routes: routes.iter().map(|name| families.routes.get_or_add(name)).collect(),
            unrouted: families.routes.get_or_add(UNROUTED),
            upstreams: upstreams.iter().map(|name| families.upstreams.get_or_add(name)).collect(),
            families,
        }
    }

    /// Counts one request of `routes[route]`; `None` where no route was chosen.
    pub fn request(&self, route: Option<usize>, record: &RequestRecord<'_>) {
        let route = route.and_then(|index| self.routes.get(index)).unwrap_or(&self.unrouted);
        let labels = Labels::new(record.method, record.status, record.result, record.reason);
        route.record(labels, record.result, record.elapsed, record.bytes.unwrap_or(0));
    }

    /// Keeps a traced request, which was counted, as an example of those that took as long.
    pub fn exemplar(&self, route: Option<usize>, result: CacheResult, elapsed: Duration, trace: TraceId) {
        route.and_then(|index| self.routes.get(index)).unwrap_or(&self.unrouted).exemplar(result, elapsed, trace);
    }

    /// Counts an answer of `routes[route]` that a guard has found.
    pub fn guarded(&self, route: usize, reason: Reason, refused: bool) {
        self.routes.get(route).unwrap_or(&self.unrouted).guarded(reason, refused);
    }

    /// Counts the bytes of a response's body whose length was not known beforehand.
    pub fn bytes(&self, route: Option<usize>, result: CacheResult, bytes: u64) {
        route.and_then(|index| self.routes.get(index)).unwrap_or(&self.unrouted).count_bytes(result, bytes);
    }

    /// Counts one finished exchange with `upstreams[upstream]`; `elapsed` runs from the request going out to the response's head (or the
    /// failure). An index out of range is ignored.
    pub fn origin(&self, upstream: usize, outcome: OriginOutcome, elapsed: Duration) {
        if let Some(upstream) = self.upstreams.get(upstream) {
            upstream.record(outcome, elapsed);
        }
    }

    /// Counts one answer whose coding was changed.
    pub fn recoded(&self, how: Recoded) {
        self.families.recodings.count(how);
    }

    /// Answers whose coding was changed, by what was done.
    pub fn recodings(&self) -> Vec<LabelledCount> {
        self.families.recodings.counts()
    }

    /// Counts what an answer of a model under the route of this name has cost or saved.
    pub fn usage(&self, route: &Arc<str>, outcome: UsageOutcome, record: &UsageRecord<'_>) {
        self.families.usages.count(route, outcome, record);
    }

    /// What answers of models have cost and saved.
    pub fn usages(&self) -> Vec<UsageSnapshot> {
        self.families.usages.snapshot()
    }

    /// Every route that was ever configured.
    pub fn routes(&self) -> Vec<RouteSnapshot> {
        self.families.routes.all().iter().map(|route| route.snapshot()).collect()
    }

    /// Every upstream that was ever configured. `states` is how those of this configuration stand, in its order.
    pub fn upstreams(&self, states: impl IntoIterator<Item = UpstreamState>) -> Vec<UpstreamSnapshot> {
        let mut configured: Vec<_> = self.upstreams.iter().zip(states).collect();
        let mut state_of = |wanted| {
            let position = configured.iter().position(|(upstream, _)| Arc::ptr_eq(upstream, wanted))?;
            Some(configured.swap_remove(position).1)
        };
        self.families.upstreams.all().iter().map(|upstream| upstream.snapshot(state_of(upstream))).collect()
    }
}

/// Everything ever counted, by name.
#[derive(Debug, Default)]
struct Families {
    routes: ByName<RouteMetrics>,
    upstreams: ByName<UpstreamMetrics>,
    recodings: Recodings,
    usages: Usages,
}

/// Named metrics in order of first appearance. Locked only for a new configuration and for a snapshot.
#[derive(Debug)]
struct ByName<T>(Mutex<Vec<Arc<T>>>);

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Metrics that carry their own label value.
trait Named {
    fn named(name: &str) -> Self;
    fn name(&self) -> &str;
}

impl<T: Named> ByName<T> {
    fn get_or_add(&self, name: &str) -> Arc<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.iter().find(|metrics| metrics.name() == name) {
            return Arc::clone(found);
        }
        let added = Arc::new(T::named(name));
        all.push(Arc::clone(&added));
        added
    }

    fn all(&self) -> Vec<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::RequestCount;

    fn hit(method: &Method) -> RequestRecord<'_> {
        RequestRecord {
            method: Some(method),
            status: StatusCode::OK,
            result: Some(CacheResult::Hit),
            reason: Some(Reason::Fresh),
            elapsed: Duration::from_micros(70),
            bytes: Some(5),
        }
    }

    fn route(metrics: &Metrics, name: &str) -> RouteSnapshot {
        metrics.routes().into_iter().find(|route| route.name == name).expect("a route of that name")
    }

    fn requests(metrics: &Metrics, name: &str) -> u64 {
        route(metrics, name).requests.iter().map(|requests| requests.count).sum()
    }

    #[test]
    fn a_request_is_counted_by_route_method_class_result_and_reason() {
        let metrics = Metrics::new(&["issue.list", "issue.get"], &[]);
        metrics.request(Some(1), &hit(&Method::GET));
        metrics.request(Some(1), &hit(&Method::GET));
        let counted = RequestCount { method: "GET", status: "2xx", result: "hit", reason: "fresh", count: 2 };
        assert_eq!(route(&metrics, "issue.get").requests, [counted]);
        assert_eq!(route(&metrics, "issue.list"), RouteSnapshot { name: "issue.list".to_owned(), ..RouteSnapshot::default() });
    }

    #[test]
    fn a_request_without_route_is_counted_too() {
        let metrics = Metrics::new(&["a"], &[]);
        let refused = RequestRecord {
            method: Some(&Method::CONNECT),
            status: StatusCode::NOT_IMPLEMENTED,
            result: None,
            reason: None,
            elapsed: Duration::ZERO,
            bytes: None,
        };
        metrics.request(None, &refused);
        metrics.request(Some(7), &refused);
        let counted = RequestCount { method: "CONNECT", status: "5xx", result: "none", reason: "none", count: 2 };
        assert_eq!(route(&metrics, "-").requests, [counted]);
    }

    #[test]
    fn a_reload_keeps_the_counts_of_routes_and_upstreams_by_name() {
        let before = Metrics::new(&["a", "b"], &["api"]);
        before.request(Some(1), &hit(&Method::GET));
        before.origin(0, OriginOutcome::Answered(StatusCode::OK), Duration::from_millis(3));
        let after = before.reconfigure(&["b", "c"], &["other", "api"]);
        after.request(Some(0), &hit(&Method::GET));
        before.request(Some(1), &hit(&Method::GET));
        after.origin(1, OriginOutcome::Answered(StatusCode::OK), Duration::from_millis(3));
        assert_eq!(requests(&after, "b"), 3);
        let api = &after.upstreams([])[0];
        assert_eq!((api.name.as_str(), api.outcomes.as_slice()), ("api", [LabelledCount { label: "2xx", count: 2 }].as_slice()));
    }

    #[test]
    fn a_route_that_a_reload_removed_stays_exposed() {
        let before = Metrics::new(&["gone"], &[]);
        before.request(Some(0), &hit(&Method::GET));
        assert_eq!(requests(&before.reconfigure(&["kept"], &[]), "gone"), 1);
    }

    #[test]
    fn an_upstream_that_a_reload_removed_has_counts_and_no_state() {
        let after = Metrics::new(&[], &["gone", "kept"]).reconfigure(&[], &["new", "kept"]);
        let states = [10, 20].map(|connections| UpstreamState { connections, ..UpstreamState::default() });
        let connections: Vec<_> =
            after.upstreams(states).into_iter().map(|upstream| (upstream.name, upstream.state.map(|state| state.connections))).collect();
        assert_eq!(connections, [("gone".to_owned(), None), ("kept".to_owned(), Some(20)), ("new".to_owned(), Some(10))]);
    }

    #[test]
    fn a_reload_keeps_the_counts_of_recoded_answers() {
        let before = Metrics::new(&[], &[]);
        before.recoded(Recoded::Unpacked);
        before.reconfigure(&[], &[]).recoded(Recoded::Unpacked);
        before.recoded(Recoded::Packed);
        let counts = [("packed", 1), ("unpacked", 2), ("asked-again", 0)];
        assert_eq!(before.recodings(), counts.map(|(label, count)| LabelledCount { label, count }));
    }

    #[test]
    fn threads_lose_no_count() {
        let metrics = Metrics::new(&["a"], &[]);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|_| metrics.request(Some(0), &hit(&Method::GET))));
            }
        });
        assert_eq!(requests(&metrics, "a"), 8000);
        assert_eq!(route(&metrics, "a").latencies[0].latency.count, 8000);
    }
}
