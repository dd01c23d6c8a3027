//! Exemplars: traced requests as examples of those in a bucket of a histogram (OpenMetrics 1.0, "Exemplars").
//!
//! The encoder takes exemplars of its own histograms only, so they are put into the finished text: behind the buckets of requests' latencies, which
//! stand there in the order of the snapshot.

use std::fmt::Write as _;

use crate::snapshot::RouteSnapshot;

/// The beginning of a sample that may have one.
const SAMPLE: &str = "larder_request_duration_seconds_bucket{";

/// What stands behind each bucket of requests' latencies, in their order. Empty where no request was traced.
pub(super) fn of(routes: &[RouteSnapshot]) -> Vec<Option<String>> {
    let latencies = || routes.iter().flat_map(|route| &route.latencies);
    if latencies().all(|latency| latency.exemplars.is_empty()) {
        return Vec::new();
    }
    let of_bucket = latencies().flat_map(|by_result| {
        (0..by_result.latency.buckets.len()).map(|bucket| {
            let exemplar = by_result.exemplars.iter().find(|exemplar| exemplar.bucket == bucket)?;
            Some(format!(" # {{trace_id=\"{}\"}} {}", exemplar.trace_id, exemplar.seconds))
        })
    });
    of_bucket.collect()
}

/// The text with them.
pub(super) fn put(text: String, exemplars: &[Option<String>]) -> String {
    if exemplars.is_empty() {
        return text;
    }
    let mut exemplars = exemplars.iter();
    let mut with = String::with_capacity(text.len() + 4096);
    for line in text.lines() {
        let exemplar = if line.starts_with(SAMPLE) { exemplars.next().and_then(Option::as_deref) } else { None };
        // A `String` takes everything.
        let _infallible = writeln!(with, "{line}{}", exemplar.unwrap_or_default());
    }
    with
}
