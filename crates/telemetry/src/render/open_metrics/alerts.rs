//! Alerts.

use std::fmt;

use super::families::{Families, labelled};
use crate::snapshot::AlertsSnapshot;

pub(super) fn encode(alerts: &AlertsSnapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    families.counters("alerts", "Conditions for a person that began or ended, by kind.", labelled("kind", &alerts.raised))?;
    let outcomes = [("sent", alerts.delivered), ("failed", alerts.undelivered)];
    let outcomes = outcomes.map(|(outcome, count)| ([("outcome", outcome)], count));
    families.counters("alert_deliveries", "Alerts sent to a webhook or a channel, and those that could not be.", outcomes)
}
