//! All that is looked at every few seconds.

use std::time::Instant;

use super::alert::Alert;
use super::breakers::Breakers;
use super::hit_ratio::HitRatio;
use super::keys::Keys;
use super::limits::Limits;
use super::replicas::Replicas;
use crate::replicas::ReplicasReport;
use crate::stats::Point;
use crate::telemetry::snapshot::Snapshot;

/// Everything that conditions are about, at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) now: Instant,
    pub(crate) snapshot: &'a Snapshot,
    /// The last hour.
    pub(crate) points: &'a [Point],
    pub(crate) replicas: &'a ReplicasReport,
}

/// The conditions, each with what it has found so far.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    breakers: Breakers,
    hit_ratio: HitRatio,
    keys: Keys,
    limits: Limits,
    replicas: Replicas,
}

impl Conditions {
    /// What has begun or ended since the last look.
    pub(crate) fn look(&mut self, reading: Reading<'_>) -> Vec<Alert> {
        let mut alerts = self.breakers.look(reading.snapshot);
        alerts.extend(self.hit_ratio.look(reading.points));
        alerts.extend(self.keys.look(reading.snapshot.tokens.as_ref()));
        alerts.extend(self.limits.look(reading.snapshot, reading.now));
        alerts.extend(self.replicas.look(reading.replicas));
        alerts
    }
}
