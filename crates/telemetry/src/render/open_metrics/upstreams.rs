//! Exchanges with upstreams, and how those of the running configuration stand.

use std::fmt;

use super::families::Families;
use crate::snapshot::{Breaker, UpstreamSnapshot, UpstreamState};

pub(super) fn encode(upstreams: &[UpstreamSnapshot], families: &mut Families<'_, '_>) -> fmt::Result {
    let outcomes = upstreams.iter().flat_map(|upstream| {
        let name = upstream.name.as_str();
        upstream.outcomes.iter().map(move |outcome| ([("upstream", name), ("outcome", outcome.label)], outcome.count))
    });
    families.counters("origin_requests", "Exchanges with upstreams, by how they ended.", outcomes)?;
    let help = "Time from a request going to an upstream to its response's head, or its failure.";
    let latencies = upstreams.iter().map(|upstream| ([("upstream", upstream.name.as_str())], &upstream.latency));
    families.histograms("origin_duration", help, latencies)?;
    encode_states(upstreams, families)
}

type Figure = fn(&UpstreamState) -> u64;

const GAUGES: [(&str, &str, Figure); 4] = [
    ("origin_requests_in_flight", "Requests sent to an upstream whose response has not ended.", |state| state.requests_in_flight),
    ("origin_connections", "Open connections to an upstream, idle ones included.", |state| state.connections),
    ("origin_waiting", "Requests that wait for a place at an upstream.", |state| state.waiting),
    ("origin_breaker_open", "1 while an upstream is left alone because it failed, or is tried by one request at a time.", |state| {
        u64::from(state.breaker != Breaker::Closed)
    }),
];

const COUNTERS: [(&str, &str, Figure); 3] = [
    ("origin_connects", "Connections made to an upstream.", |state| state.connects),
    ("origin_retries", "Requests sent again because a reused connection had died.", |state| state.retries),
    ("origin_refused", "Requests that got no place at an upstream, because it had as many as it may have.", |state| state.refused),
];

/// The upstreams of the running configuration, in its order.
fn encode_states(upstreams: &[UpstreamSnapshot], families: &mut Families<'_, '_>) -> fmt::Result {
    let mut running: Vec<_> = upstreams.iter().filter_map(|upstream| Some((upstream.name.as_str(), upstream.state.as_ref()?))).collect();
    running.sort_by_key(|(_, state)| state.position);
    let samples = |figure: Figure| running.iter().map(move |(name, state)| ([("upstream", *name)], figure(state)));
    for (name, help, figure) in GAUGES {
        families.gauges(name, help, None, samples(figure))?;
    }
    for (name, help, figure) in COUNTERS {
        families.counters(name, help, samples(figure))?;
    }
    Ok(())
}
