//! Gathers the snapshot of everything that is measured: what `metrics` counted, and figures that their owners keep themselves.

mod system;

use larder_semantics::Scope;
use larder_store::InvalidationTarget;
use larder_tower::TierStats;
use tokio::runtime::Handle;

use crate::active::ActiveConfig;
use crate::disk::Disk;
use crate::proxy::Gateway;
use crate::redis::Redis;
use crate::stats::{Totals, totals};
use crate::telemetry::snapshot::{
    BuildSnapshot, CollapsingSnapshot, Evictions, Folds, InvalidationSnapshot, LabelledCount, PackingSnapshot, ProcessSnapshot, RoutePlace,
    RouteSnapshot, Snapshot, StoreSnapshot, TierSnapshot, TlsSnapshot, TraceSnapshot,
};
use crate::upstreams;

/// Everything, as it stands now.
pub(crate) fn snapshot(gateway: &Gateway) -> Snapshot {
    let active = gateway.active.load_full();
    let stats = gateway.cache.stats();
    let evictions = stats.memory.evictions;
    Snapshot {
        routes: routes(&active),
        upstreams: upstreams::snapshots(&active),
        store: StoreSnapshot {
            entries: stats.memory.entries,
            stored_bytes: stats.memory.bytes,
            capacity_bytes: stats.memory.capacity,
            evictions: Evictions { size: evictions.size, removed: evictions.removed, replaced: evictions.replaced },
            bypasses_refused: stats.bypasses_refused,
            packing: stats.packing.map(|packing| PackingSnapshot {
                bodies: packing.bodies,
                saved_bytes: packing.saved_bytes,
                whole_bytes: packing.whole_bytes,
            }),
        },
        tiers: gateway.cache.tier_stats().iter().map(tier).collect(),
        collapsing: CollapsingSnapshot {
            followers: stats.followers,
            waiting: stats.waiting,
            fills_in_flight: stats.fills_in_flight,
            fill_bytes: stats.bytes_in_flight,
            continued: stats.asked_again.continued,
            differing: stats.asked_again.differing,
            failed: stats.asked_again.failed,
        },
        recodings: if active.keeps_codings() { active.metrics.recodings() } else { Vec::new() },
        usage: active.metrics.usages(),
        spending: active.spending.snapshot(),
        invalidation: InvalidationSnapshot {
            by_target: labelled(InvalidationTarget::KINDS.into_iter().zip(stats.ledger.invalidated)),
            messages: labelled(gateway.redis.iter().flat_map(|_| gateway.channel_counts.by_outcome())),
            records: stats.ledger.records as u64,
            folds: Folds { coarser: stats.ledger.folds.coarser, everything: stats.ledger.folds.everything },
            position: stats.ledger.position.0,
        },
        disk: gateway.disk.as_ref().map(Disk::snapshot),
        redis: gateway.redis.as_ref().map(Redis::snapshot),
        tls: tls(gateway),
        warm: gateway.jobs.snapshot(),
        limits: active.limits.snapshot(),
        tokens: active.auth.as_ref().map(|auth| auth.snapshot()),
        verify: active.verifications().map(|verify| verify.snapshot()).collect(),
        build: BuildSnapshot { version: env!("CARGO_PKG_VERSION"), arch: std::env::consts::ARCH, os: std::env::consts::OS },
        config: gateway.reloads.snapshot(active.config.hash()),
        alerts: gateway.alerts.snapshot(),
        process: ProcessSnapshot {
            client_connections: gateway.connections.count(),
            client_unsent_bytes: gateway.connections.unsent(),
            runtime_tasks: tasks(),
            http2_limits: labelled(gateway.http2_limits.by_limit()),
            access_log_dropped: gateway.access_logs.dropped(),
            traces: active.tracer.as_ref().map(|tracer| {
                let counts = tracer.counts();
                TraceSnapshot { exported: counts.exported(), dropped: counts.dropped() }
            }),
            system: system::figures(gateway.started),
        },
    }
}

/// The routes' counts, with what the configuration and the statistics know of them.
fn routes(active: &ActiveConfig) -> Vec<RouteSnapshot> {
    let mut routes = active.metrics.routes();
    let saved: Vec<f64> = totals(&routes).iter().map(Totals::saved_seconds).collect();
    routes.iter_mut().zip(saved).for_each(|(route, seconds)| route.saved_seconds = seconds);
    let configured = active.config.routes.iter().chain(&active.config.fallback);
    for route in configured {
        let place = RoutePlace {
            class: route.class.as_deref().unwrap_or_default().to_owned(),
            upstream: active.config.upstreams.get(route.upstream).map_or_else(String::new, |upstream| upstream.name.to_string()),
            scope: if route.settings.policy.scope == Scope::Identity { "identity" } else { "public" },
        };
        routes.iter_mut().filter(|known| known.name == *route.name).for_each(|known| known.place = Some(place.clone()));
    }
    routes
}

/// Those of the runtime that the snapshot is made on.
fn tasks() -> u64 {
    Handle::try_current().map_or(0, |runtime| runtime.metrics().num_alive_tasks() as u64)
}

/// `None` where no listener speaks TLS.
fn tls(gateway: &Gateway) -> Option<TlsSnapshot> {
    (!gateway.certificates.is_empty()).then(|| TlsSnapshot {
        handshakes: labelled(gateway.handshakes.by_outcome()),
        certificates: gateway.certificates.snapshot(),
        revocations: gateway.certificates.revocations(),
        acme: gateway.acme.snapshot(),
    })
}

fn tier(stats: &TierStats) -> TierSnapshot {
    let TierStats { name, hits, misses, failures, promotions, .. } = *stats;
    TierSnapshot { name, hits, misses, failures, promotions }
}

fn labelled(counts: impl Iterator<Item = (&'static str, u64)>) -> Vec<LabelledCount> {
    counts.map(|(label, count)| LabelledCount { label, count }).collect()
}
