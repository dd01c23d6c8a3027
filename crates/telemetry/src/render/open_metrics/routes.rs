//! Requests with their latencies and bytes, by route.

use std::fmt;

use prometheus_client::registry::Unit;

use super::families::Families;
use crate::snapshot::RouteSnapshot;

pub(super) fn encode(routes: &[RouteSnapshot], families: &mut Families<'_, '_>) -> fmt::Result {
    let requests = routes.iter().flat_map(|route| {
        route.requests.iter().map(|request| {
            let labels = [
                ("route", route.name.as_str()),
                ("method", request.method),
                ("status", request.status),
                ("result", request.result),
                ("reason", request.reason),
            ];
            (labels, request.count)
        })
    });
    families.counters("requests", "Requests answered, by route, method, class of status, what the cache did and why.", requests)?;
    let latencies = routes.iter().flat_map(|route| {
        route.latencies.iter().map(|by_result| ([("route", route.name.as_str()), ("result", by_result.result)], &by_result.latency))
    });
    families.histograms("request_duration", "Time from a request's head to its response's head, by what the cache did.", latencies)?;
    let bytes = routes.iter().flat_map(|route| {
        route.latencies.iter().map(|by_result| ([("route", route.name.as_str()), ("result", by_result.result)], by_result.bytes))
    });
    families.counters("response_body_bytes", "Bytes of responses' bodies, by what the cache did.", bytes)?;
    let findings = routes.iter().flat_map(|route| {
        route.guarded.iter().flat_map(|found| {
            let of = |outcome| [("route", route.name.as_str()), ("reason", found.reason), ("outcome", outcome)];
            [(of("reported"), found.reported), (of("refused"), found.refused)]
        })
    });
    let help = "Answers that guards found not to be for everyone, by why, and whether they were kept from being stored.";
    families.counters("guard_findings", help, findings)?;
    let saved = routes.iter().map(|route| ([("route", route.name.as_str())], route.saved_seconds));
    let help =
        "Time that origins would have taken for the hits since the start, going by what they took for the other requests of the route.";
    families.gauges("origin_time_saved", help, Some(&Unit::Seconds), saved)
}
