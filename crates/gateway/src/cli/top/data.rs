//! What the admin listener says at one moment.

use serde_json::Value;

use crate::cli::AdminFlags;
use crate::replicas::ReplicasReport;
use crate::stats::StatsReport;

/// All that a screen shows.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) stats: StatsReport,
    /// The last point of the history.
    pub(super) last: Value,
    pub(super) upstreams: Value,
    pub(super) urls: Value,
    pub(super) replicas: ReplicasReport,
    pub(super) alerts: Value,
    /// Why there is nothing newer.
    pub(super) problem: Option<String>,
}

impl Data {
    /// Asks for all of it.
    pub(super) async fn fetch(gateway: &AdminFlags) -> Result<Self, String> {
        let (history, alerts) = (gateway.get("/history?last=1").await?, gateway.get("/alerts").await?);
        Ok(Self {
            stats: gateway.known(gateway.get("/stats").await?)?,
            // A process that has just started has none yet.
            last: history["points"][0].clone(),
            upstreams: gateway.get("/upstreams").await?,
            urls: gateway.get("/busiest").await?,
            replicas: gateway.known(gateway.get("/replicas").await?)?,
            alerts: alerts["firing"].clone(),
            problem: None,
        })
    }
}
