//! One job, and how it stands.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::config::WarmJob;

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// It was stored already.
    Hit,
    /// It is stored now.
    Stored,
    /// It is not stored, for this reason.
    NotStored(&'static str),
    /// There was no answer, or one of 5xx.
    Failed(&'static str),
}

/// One job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) config: WarmJob,
    /// One run at a time.
    pub(crate) running: tokio::sync::Mutex<()>,
    hits: AtomicU64,
    stored: AtomicU64,
    not_stored: AtomicU64,
    failed: AtomicU64,
    progress: Mutex<Progress>,
    ran: watch::Sender<bool>,
}

/// The run that is under way, or the last one.
#[derive(Clone, Debug, Default)]
struct Progress {
    is_running: bool,
    done: u64,
    hits: u64,
    stored: u64,
    failed: u64,
    reasons: BTreeMap<&'static str, u64>,
}

/// A job, for people and programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobReport {
    /// Its name.
    pub(crate) name: String,
    /// Whether it runs now. The figures are those of this run, or else of the last one.
    pub(crate) running: bool,
    /// How many URLs it has.
    pub(crate) total: u64,
    /// How many of them were asked for.
    pub(crate) done: u64,
    /// How many were stored already.
    pub(crate) hits: u64,
    /// How many are stored now.
    pub(crate) stored: u64,
    /// How many could not be had.
    pub(crate) failed: u64,
    /// Why the others are not stored, and why those that failed did, with how many there are of each.
    pub(crate) reasons: BTreeMap<String, u64>,
}

impl Job {
    pub(crate) fn new(config: WarmJob) -> Arc<Self> {
        Arc::new(Self {
            config,
            running: tokio::sync::Mutex::default(),
            hits: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            not_stored: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            progress: Mutex::default(),
            ran: watch::Sender::new(false),
        })
    }

    pub(crate) fn begin(&self) {
        *self.progress() = Progress { is_running: true, ..Progress::default() };
    }

    /// Counts one request.
    pub(crate) fn took(&self, fetched: &Fetched) {
        let mut progress = self.progress();
        progress.done += 1;
        let total = match fetched {
            Fetched::Hit => {
                progress.hits += 1;
                &self.hits
            }
            Fetched::Stored => {
                progress.stored += 1;
                &self.stored
            }
            Fetched::NotStored(reason) => {
                *progress.reasons.entry(reason).or_default() += 1;
                &self.not_stored
            }
            Fetched::Failed(reason) => {
                progress.failed += 1;
                *progress.reasons.entry(reason).or_default() += 1;
                &self.failed
            }
        };
        total.fetch_add(1, Ordering::Relaxed);
    }

    /// The run is over, or another replica has it.
    pub(crate) fn end(&self) {
        self.progress().is_running = false;
        self.ran.send_replace(true);
    }

    /// Waits for the end of its first run.
    pub(crate) async fn ran_once(&self) {
        let _ = self.ran.subscribe().wait_for(|ran| *ran).await;
    }

    pub(crate) fn is_running(&self) -> bool {
        self.progress().is_running
    }

    /// Requests since the start, by what became of them.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 4] {
        let all = [("hit", &self.hits), ("stored", &self.stored), ("not_stored", &self.not_stored), ("failed", &self.failed)];
        all.map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    pub(crate) fn report(&self) -> JobReport {
        let Progress { is_running, done, hits, stored, failed, reasons } = self.progress().clone();
        JobReport {
            name: self.config.name.clone(),
            running: is_running,
            total: self.config.urls.len() as u64,
            done,
            hits,
            stored,
            failed,
            reasons: reasons.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
