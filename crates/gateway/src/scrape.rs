//! What `/metrics` says beyond the counters: figures read off their owners at each scrape.

use larder_store::BreakerState;
use larder_store::InvalidationTarget;

use crate::gateway::Gateway;
use crate::redis::Redis;
use crate::telemetry::metrics::{Gauges, UpstreamGauges};

/// The whole exposition.
pub(crate) fn render(gateway: &Gateway) -> String {
    let live = gateway.live.load_full();
    let stats = gateway.cache.stats();
    let upstreams = live.config.upstreams.iter().zip(&live.upstreams).map(|(upstream, service)| UpstreamGauges {
        name: upstream.name.to_string(),
        requests_in_flight: service.stats().requests_in_flight(),
        connections: service.stats().connections_open(),
        connects: service.stats().connections_total(),
        retries: service.stats().retries_total(),
        waiting: service.pressure().waiting() as u64,
        refused: service.refused_total(),
        breaker_open: u64::from(service.breaker() != BreakerState::Closed),
    });
    let evictions = stats.memory.evictions;
    live.metrics.render(&Gauges {
        entries: stats.memory.entries,
        stored_bytes: stats.memory.bytes,
        capacity_bytes: stats.memory.capacity,
        evictions: vec![("size", evictions.size), ("removed", evictions.removed), ("replaced", evictions.replaced)],
        invalidations: InvalidationTarget::KINDS.into_iter().zip(stats.ledger.invalidated).collect(),
        invalidation_messages: gateway.redis.as_ref().map_or_else(Vec::new, |_| gateway.heard.by_outcome()),
        invalidation_records: stats.ledger.records as u64,
        invalidation_folds: vec![("coarser", stats.ledger.folds.coarser), ("everything", stats.ledger.folds.everything)],
        invalidation_position: stats.ledger.position.0,
        collapsed_followers: stats.followers,
        collapsed_waiting: stats.waiting,
        fills_in_flight: stats.fills_in_flight,
        fill_bytes: stats.bytes_in_flight,
        client_connections: gateway.connections.count(),
        client_unsent_bytes: gateway.connections.unsent(),
        access_log_dropped: gateway.access_log.dropped(),
        upstreams: upstreams.collect(),
        redis: gateway.redis.as_ref().map(Redis::gauges),
    })
}
