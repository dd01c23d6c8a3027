//! Gathers the snapshot of everything that is measured: what `metrics` counted, and figures that their owners keep themselves.

use larder_store::InvalidationTarget;
use larder_tower::TierStats;

use crate::disk::Disk;
use crate::proxy::Gateway;
use crate::redis::Redis;
use crate::telemetry::snapshot::{
    CollapsingSnapshot, Evictions, Folds, InvalidationSnapshot, LabelledCount, ProcessSnapshot, Snapshot, StoreSnapshot, TierSnapshot,
    TlsSnapshot,
};
use crate::upstreams;

/// Everything, as it stands now.
pub(crate) fn snapshot(gateway: &Gateway) -> Snapshot {
    let active = gateway.active.load_full();
    let stats = gateway.cache.stats();
    let evictions = stats.memory.evictions;
    Snapshot {
        routes: active.metrics.routes(),
        upstreams: upstreams::snapshots(&active),
        store: StoreSnapshot {
            entries: stats.memory.entries,
            stored_bytes: stats.memory.bytes,
            capacity_bytes: stats.memory.capacity,
            evictions: Evictions { size: evictions.size, removed: evictions.removed, replaced: evictions.replaced },
            bypasses_refused: stats.bypasses_refused,
        },
        tiers: gateway.cache.tier_stats().iter().map(tier).collect(),
        collapsing: CollapsingSnapshot {
            followers: stats.followers,
            waiting: stats.waiting,
            fills_in_flight: stats.fills_in_flight,
            fill_bytes: stats.bytes_in_flight,
        },
        recodings: if active.keeps_codings() { active.metrics.recodings() } else { Vec::new() },
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
        process: ProcessSnapshot {
            client_connections: gateway.connections.count(),
            client_unsent_bytes: gateway.connections.unsent(),
            access_log_dropped: gateway.access_log.dropped(),
        },
    }
}

/// `None` where no listener speaks TLS.
fn tls(gateway: &Gateway) -> Option<TlsSnapshot> {
    let certificates = gateway.certificates.snapshot();
    (!certificates.is_empty()).then(|| TlsSnapshot { handshakes: labelled(gateway.handshakes.by_outcome()), certificates })
}

fn tier(stats: &TierStats) -> TierSnapshot {
    let TierStats { name, hits, misses, failures, promotions, .. } = *stats;
    TierSnapshot { name, hits, misses, failures, promotions }
}

fn labelled(counts: impl Iterator<Item = (&'static str, u64)>) -> Vec<LabelledCount> {
    counts.map(|(label, count)| LabelledCount { label, count }).collect()
}
