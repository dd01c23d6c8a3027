//! Alerts.

use serde::Serialize;

use super::LabelledCount;

/// Alerts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AlertsSnapshot {
    /// Conditions that began or ended, by kind.
    pub raised: Vec<LabelledCount>,
    /// Deliveries that succeeded, to a webhook or a channel.
    pub delivered: u64,
    /// Deliveries that were given up, and alerts that found no place in the queue.
    pub undelivered: u64,
}
