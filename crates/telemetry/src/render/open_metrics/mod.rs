//! OpenMetrics, which Prometheus scrapes. Names, help and order are public interface: `tests/exposition.rs` keeps them byte for byte.

mod alerts;
mod cache;
mod config;
mod disk;
mod families;
mod limits;
mod operations;
mod process;
mod redis;
mod routes;
mod tls;
mod upstreams;
mod verify;
mod warm;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::exemplars;
use crate::snapshot::Snapshot;
use families::Families;

/// The media type of [`open_metrics`].
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything in `snapshot`, as text of type [`OPEN_METRICS`].
pub fn open_metrics(snapshot: Snapshot) -> String {
    let exemplars = exemplars::of(&snapshot.routes);
    let mut registry = Registry::default();
    // The names that every client library of Prometheus has for them, without a prefix.
    registry.register_collector(Box::new(process::System(snapshot.process.system)));
    registry.sub_registry_with_prefix("larder").register_collector(Box::new(Exposition(snapshot)));
    let mut text = String::with_capacity(16 * 1024);
    // The one error there is comes from the writer, and a `String` takes everything.
    let _infallible = encode(&mut text, &registry);
    exemplars::put(text, &exemplars)
}

#[derive(Debug)]
struct Exposition(Snapshot);

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (snapshot, mut families) = (&self.0, Families(&mut encoder));
        config::encode(snapshot, &mut families)?;
        routes::encode(&snapshot.routes, &mut families)?;
        upstreams::encode(&snapshot.upstreams, &mut families)?;
        cache::encode(snapshot, &mut families)?;
        alerts::encode(&snapshot.alerts, &mut families)?;
        warm::encode(&snapshot.warm, &mut families)?;
        limits::encode(&snapshot.limits, &mut families)?;
        snapshot.tokens.as_ref().map_or(Ok(()), |tokens| limits::encode_tokens(tokens, &mut families))?;
        verify::encode(&snapshot.verify, &mut families)?;
        snapshot.tls.as_ref().map_or(Ok(()), |tls| tls::encode(tls, &mut families))?;
        snapshot.disk.as_ref().map_or(Ok(()), |disk| disk::encode(disk, &mut families))?;
        snapshot.redis.as_ref().map_or(Ok(()), |redis| redis::encode(redis, &mut families))
    }
}
