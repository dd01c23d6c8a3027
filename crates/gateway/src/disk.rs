//! The tier on disk, as the gateway holds it: started from the configuration, read off for metrics and probes.

use std::sync::Arc;
use std::time::Duration;

use larder_disk::{Clocks, DirectoryStats, DiskArray, DiskObserver, DiskOptions};
use larder_store::{BreakerState, Ledger};
use larder_tower::{Tiers, clock};
use tracing::warn;

use crate::telemetry::metrics::DiskMetrics;
use crate::telemetry::snapshot::{DirectorySnapshot, DiskLookups, DiskSnapshot, DiskWrites};

/// How long what is on the disk may take to be known before the first request, which would be a miss otherwise.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// How long the last writes may take when the process stops.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// The store in a directory, or in several.
#[derive(Clone)]
pub(crate) struct Disk {
    store: DiskArray,
    metrics: Arc<DiskMetrics>,
}

impl Disk {
    /// Starts it. No directory need be usable. With `keeps_log` it keeps the log of invalidations, which Redis does otherwise.
    pub(crate) fn start(options: &DiskOptions, ledger: Arc<Ledger>, keeps_log: bool) -> Result<Self, String> {
        let clocks = Clocks { monotonic: clock::monotonic, wall: clock::wall };
        let metrics = Arc::new(DiskMetrics::default());
        let observer: Arc<dyn DiskObserver> = Arc::clone(&metrics) as _;
        let store = DiskArray::start(options, clocks, &ledger, keeps_log, Some(&observer));
        store.map(|store| Self { store, metrics }).map_err(|error| format!("the threads of the disk: {error}"))
    }

    /// As the next tier, with the log where it keeps that.
    pub(crate) fn behind(&self, tiers: Tiers) -> Tiers {
        let tiers = tiers.then(Arc::new(self.store.clone()));
        match self.store.log() {
            Some(log) => tiers.with_log(log),
            None => tiers,
        }
    }

    /// Waits a moment until everything on it is known.
    pub(crate) async fn known(&self) {
        self.store.usable(FIRST_LOOK).await;
    }

    /// Writes what waits for a moment, and gives the directory up.
    pub(crate) async fn close(&self) {
        tell_of_lost(self.store.close(LAST_WRITES).await);
    }

    /// As [`Self::close`], to a process that serves already, while requests here are still under way.
    pub(crate) async fn hand_over(&self) {
        tell_of_lost(self.store.hand_over(LAST_WRITES).await);
    }

    /// The figures for metrics.
    pub(crate) fn snapshot(&self) -> DiskSnapshot {
        let stats = self.store.stats();
        DiskSnapshot {
            operations: self.metrics.operations(),
            lookups: DiskLookups { hit: stats.hits, miss: stats.misses, failure: stats.failures },
            writes: DiskWrites {
                written: stats.written,
                written_bytes: stats.written_bytes,
                moved_bytes: stats.moved_bytes,
                dropped: stats.dropped,
                held_back: stats.held_back,
                queued: stats.queued,
                queued_bytes: stats.queued_bytes,
            },
            damaged: stats.damaged,
            locked: stats.locked,
            interrupted: stats.interrupted,
            evicted: stats.evicted,
            entries: stats.entries,
            index_bytes: stats.index_bytes,
            capacity_bytes: stats.capacity_bytes,
            ready: stats.is_ready,
            reading: stats.reading.into(),
            writing: stats.writing.into(),
            directories: self.store.directories().into_iter().map(directory).collect(),
        }
    }

    /// For `/readyz`: how it stands, which never makes the process unready.
    pub(crate) fn detail(&self) -> serde_json::Value {
        let (stats, problem) = (self.store.stats(), self.store.problem());
        let works = stats.reading == BreakerState::Closed && stats.writing == BreakerState::Closed && problem.is_none();
        let state = match (works, stats.is_ready) {
            (false, _) => "failing",
            (true, false) => "opening",
            (true, true) => "ok",
        };
        serde_json::json!({ "state": state, "problem": problem, "entries": stats.entries, "damaged": stats.damaged })
    }
}

fn directory(one: DirectoryStats) -> DirectorySnapshot {
    let DirectoryStats { path, stats, problem } = one;
    DirectorySnapshot {
        path: path.display().to_string(),
        problem,
        ready: stats.is_ready,
        lookups: DiskLookups { hit: stats.hits, miss: stats.misses, failure: stats.failures },
        entries: stats.entries,
        capacity_bytes: stats.capacity_bytes,
        written_bytes: stats.written_bytes,
        given_up: stats.dropped + stats.held_back,
        damaged: stats.damaged,
        reading: stats.reading.into(),
        writing: stats.writing.into(),
    }
}

fn tell_of_lost(writes: usize) {
    if writes > 0 {
        warn!("{writes} responses could not be written to the disk in time");
    }
}
