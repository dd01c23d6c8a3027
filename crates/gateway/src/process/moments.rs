//! The moments that what is stored elsewhere has at the start and at the end of a process.

use std::time::{Duration, Instant};

use larder_tower::clock::monotonic;
use tracing::warn;

use crate::admin::Readiness;
use crate::proxy::Gateway;

/// How long what an authority has issued before may take to be read.
const STORED_CERTIFICATES: Duration = Duration::from_secs(5);

/// Waits for what is stored to be known: requests and connections that come before would go without it.
pub(super) async fn known(gateway: &Gateway) {
    tiers_known(gateway).await;
    certificates_known(gateway).await;
}

/// Traffic is welcome from now on, or once the jobs that warm before it have ended.
pub(super) fn ready(gateway: &Gateway, readiness: &Readiness) {
    let Some(warmed) = gateway.jobs.before_ready() else { return readiness.set_ready() };
    readiness.set_warming();
    let readiness = readiness.clone();
    tokio::spawn(async move {
        warmed.await;
        readiness.set_warm();
    });
}

/// Gives certificates that an authority has issued before a moment, so that the first connections get them.
async fn certificates_known(gateway: &Gateway) {
    let active = gateway.active.load_full();
    if active.config.acme.is_some() {
        let loaded = gateway.acme.follow(&active.config, gateway.redis.as_ref(), &gateway.certificates);
        let _ = tokio::time::timeout(STORED_CERTIFICATES, loaded).await;
    }
}

/// Gives disk and Redis a moment: requests that come before would be misses, whatever is stored there.
async fn tiers_known(gateway: &Gateway) {
    let disk = async {
        if let Some(disk) = &gateway.disk {
            disk.known().await;
        }
    };
    let redis = async {
        if let Some(redis) = &gateway.redis {
            redis.connected().await;
        }
    };
    tokio::join!(disk, redis);
}

/// The successor gets the directory while requests here go on: until then it answers nothing from there.
pub(super) fn hand_over(gateway: &Gateway) {
    if let Some(disk) = gateway.disk.clone() {
        tokio::spawn(async move { disk.hand_over().await });
    }
}

/// Waits for writes whose clients have left, until the drain is over: what they invalidate must be in the log before it is left.
pub(super) async fn written(gateway: &Gateway, until: Instant) {
    let open = gateway.cache.finish_writes(until.saturating_duration_since(monotonic())).await;
    if open > 0 {
        warn!("{open} writes or purges did not finish in time; what those writes may have changed was purged");
    }
}

/// Gives what is still to be written to them a moment.
pub(super) async fn drained(gateway: &Gateway) {
    let disk = async {
        if let Some(disk) = &gateway.disk {
            disk.close().await;
        }
    };
    let redis = async {
        if let Some(redis) = &gateway.redis {
            redis.drain().await;
        }
    };
    tokio::join!(disk, redis);
}
