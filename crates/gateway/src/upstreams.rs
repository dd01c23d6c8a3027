//! How the upstreams of the running configuration stand, for metrics and the admin listener, and the counts of what they answer.

use std::sync::Arc;
use std::time::Duration;

use larder_message::OriginOutcome;

use crate::active::ActiveConfig;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::snapshot::{ServerSnapshot, UpstreamSnapshot, UpstreamState};
use crate::upstream::{OriginObserver, ServerState};

/// Counts what upstreams answer.
pub(crate) struct OriginMetrics(pub(crate) Arc<Metrics>);

impl OriginObserver for OriginMetrics {
    fn answered(&self, upstream: usize, outcome: OriginOutcome, elapsed: Duration) {
        self.0.origin(upstream, outcome, elapsed);
    }
}

/// The upstreams, as they stand now.
pub(crate) fn snapshots(active: &ActiveConfig) -> Vec<UpstreamSnapshot> {
    active.metrics.upstreams(upstream_states(active))
}

fn upstream_states(active: &ActiveConfig) -> impl Iterator<Item = UpstreamState> {
    active.upstreams.iter().enumerate().map(|(position, service)| UpstreamState {
        position,
        requests_in_flight: service.stats().requests_in_flight(),
        connections: service.stats().connections_open(),
        connects: service.stats().connections_total(),
        retries: service.stats().retries_total(),
        waiting: service.pressure().waiting() as u64,
        refused: service.refused_total(),
        held: service.held_total(),
        retries_refused: service.stats().retries_refused_total(),
        breaker: service.breaker().into(),
        servers: service.servers().into_iter().map(server).collect(),
    })
}

fn server(state: ServerState) -> ServerSnapshot {
    ServerSnapshot {
        server: state.server,
        weight: state.weight,
        backup: state.backup,
        ejected: state.ejected,
        healthy: state.healthy,
        ejections: state.ejections,
        answers: state.answers,
        failures: state.failures,
        requests_in_flight: state.requests_in_flight,
        connections: state.connections,
        latency_seconds: state.latency.map(|latency| latency.as_secs_f64()),
    }
}
