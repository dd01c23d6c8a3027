//! Exchanges with upstreams, and how those of the running configuration stand.

use std::fmt;

use prometheus_client::registry::Unit;

use super::families::{Families, Labels};
use crate::snapshot::{Breaker, ServerSnapshot, UpstreamSnapshot, UpstreamState};

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

const COUNTERS: [(&str, &str, Figure); 5] = [
    ("origin_connects", "Connections made to an upstream.", |state| state.connects),
    ("origin_retries", "Requests sent again, because a reused connection had died or as `retry` says.", |state| state.retries),
    ("origin_retries_refused", "Requests not sent again because the budget of `retry` was used up.", |state| state.retries_refused),
    ("origin_refused", "Requests that got no place at an upstream, because it had as many as it may have.", |state| state.refused),
    ("origin_held", "Requests that were held back, because an upstream had said that it takes no more for now.", |state| state.held),
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
    encode_servers(&running, families)
}

type ServerFigure = fn(&ServerSnapshot) -> u64;

const SERVER_GAUGES: [(&str, &str, ServerFigure); 4] = [
    ("origin_server_requests_in_flight", "Requests sent to a server of an upstream whose response has not ended.", |server| {
        server.requests_in_flight
    }),
    ("origin_server_connections", "Open connections to a server of an upstream, idle ones included.", |server| server.connections),
    ("origin_server_ejected", "1 while a server of an upstream is left out because it failed.", |server| u64::from(server.ejected)),
    ("origin_server_healthy", "0 while the health check of a server of an upstream has failed; 1 where it has none.", |server| {
        u64::from(server.healthy)
    }),
];

const SERVER_COUNTERS: [(&str, &str, ServerFigure); 3] = [
    ("origin_server_answers", "Requests that a server of an upstream has answered.", |server| server.answers),
    ("origin_server_failures", "Requests that a server of an upstream did not answer, or answered with 502, 503 or 504.", |server| {
        server.failures
    }),
    ("origin_server_ejections", "How often a server of an upstream was left out because it failed.", |server| server.ejections),
];

/// The servers of each upstream, in the order of the configuration.
fn encode_servers(running: &[(&str, &UpstreamState)], families: &mut Families<'_, '_>) -> fmt::Result {
    let servers: Vec<_> = running.iter().flat_map(|(name, state)| state.servers.iter().map(|server| (*name, server))).collect();
    fn labels<'l>(name: &'l str, server: &'l ServerSnapshot) -> Labels<'l, 2> {
        [("upstream", name), ("server", &server.server)]
    }
    let samples = |figure: ServerFigure| servers.iter().map(move |(name, server)| (labels(name, server), figure(server)));
    for (name, help, figure) in SERVER_GAUGES {
        families.gauges(name, help, None, samples(figure))?;
    }
    let help = "Time to the head of a server's responses by which it is compared with the others of its upstream.";
    let compared = servers.iter().filter_map(|(name, server)| Some((labels(name, server), server.latency_seconds?)));
    families.gauges("origin_server_latency", help, Some(&Unit::Seconds), compared)?;
    for (name, help, figure) in SERVER_COUNTERS {
        families.counters(name, help, samples(figure))?;
    }
    Ok(())
}
