//! One job, and how it stands.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::report::JobReport;
use crate::config::{WarmJob, WarmSource};

/// About so many times its text a list takes while it is read.
const PARSED: u64 = 8;

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// It was stored already.
    Hit,
    /// It is stored now.
    Stored,
    /// It is not stored, for this reason.
    NotStored(&'static str),
    /// There was no answer, or one of 5xx, or nothing to ask for.
    Failed(&'static str),
    /// It was not asked for, since this is a dry run.
    Left(&'static str),
}

/// Requests of a job since the start of the process, by what became of them.
#[derive(Debug, Default)]
pub(super) struct Counts {
    hits: AtomicU64,
    stored: AtomicU64,
    not_stored: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    pub(super) fn labelled(&self) -> [(&'static str, u64); 4] {
        let all = [("hit", &self.hits), ("stored", &self.stored), ("not_stored", &self.not_stored), ("failed", &self.failed)];
        all.map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}

/// One job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) config: WarmJob,
    /// One run at a time.
    pub(crate) running: tokio::sync::Mutex<()>,
    counts: Arc<Counts>,
    held: AtomicU64,
    progress: Mutex<JobReport>,
    ran: watch::Sender<bool>,
    /// How often a run was to end at once.
    stops: watch::Sender<u64>,
}

impl Job {
    pub(crate) fn new(config: WarmJob) -> Arc<Self> {
        Self::counting(config, Arc::default())
    }

    fn counting(config: WarmJob, counts: Arc<Counts>) -> Arc<Self> {
        let progress = JobReport { name: config.name.clone(), ..JobReport::default() };
        Arc::new(Self {
            config,
            running: tokio::sync::Mutex::default(),
            counts,
            held: AtomicU64::new(0),
            progress: Mutex::new(progress),
            ran: watch::Sender::new(false),
            stops: watch::Sender::new(0),
        })
    }

    /// One in place of another of its name, whose last run it reports until it has one itself, and with whose counts it goes on.
    pub(super) fn after(before: Option<&Arc<Self>>, config: WarmJob, counts: Arc<Counts>) -> Arc<Self> {
        let job = Self::counting(config, counts);
        if let Some(before) = before {
            *job.progress() = JobReport { running: false, waiting: false, ..before.report() };
        }
        job
    }

    /// A run begins, in which nothing is asked for where it is a dry one.
    pub(crate) fn begin(&self, is_dry: bool) {
        let mut progress = self.progress();
        *progress = JobReport { name: std::mem::take(&mut progress.name), running: true, dry: is_dry, ..JobReport::default() };
    }

    /// So many more URLs are known.
    pub(crate) fn found(&self, count: u64) {
        self.progress().total += count;
    }

    /// Whether requests wait for clients, or for the pause that an origin asks for.
    pub(crate) fn waits(&self, waits: bool) {
        self.progress().waiting = waits;
    }

    /// Counts one request.
    pub(crate) fn took(&self, fetched: &Fetched) {
        let mut progress = self.progress();
        progress.done += 1;
        let (count, reason) = match fetched {
            Fetched::Hit => (&mut progress.hits, None),
            Fetched::Stored => (&mut progress.stored, None),
            Fetched::NotStored(reason) => (&mut progress.not_stored, Some(reason)),
            Fetched::Failed(reason) => (&mut progress.failed, Some(reason)),
            Fetched::Left(reason) => (&mut progress.left, Some(reason)),
        };
        *count += 1;
        if let Some(reason) = reason {
            *progress.reasons.entry((*reason).to_owned()).or_default() += 1;
        }
        let total = match fetched {
            Fetched::Hit => &self.counts.hits,
            Fetched::Stored => &self.counts.stored,
            Fetched::NotStored(_) => &self.counts.not_stored,
            Fetched::Failed(_) => &self.counts.failed,
            Fetched::Left(_) => return,
        };
        total.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts something that is hardly meant so, such as a list without items.
    pub(crate) fn found_odd(&self, reason: &'static str) {
        self.found(1);
        self.took(&Fetched::NotStored(reason));
    }

    /// It holds a list of so many bytes.
    pub(crate) fn holds(&self, bytes: usize) {
        self.held.store(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes of memory: its URLs, and what a list that it reads takes.
    pub(crate) fn bytes(&self) -> u64 {
        let urls = self.config.sources.iter().map(|source| match source {
            WarmSource::Urls(urls) => urls.iter().map(|url| size_of_val(url) + url.path().len()).sum(),
            _ => 0,
        });
        urls.sum::<usize>() as u64 + PARSED * self.held.load(Ordering::Relaxed)
    }

    /// Counts something that is not as it should be, such as a list that cannot be read.
    pub(crate) fn found_wrong(&self, reason: &'static str) {
        self.found(1);
        self.took(&Fetched::Failed(reason));
    }

    /// Another replica has the run that was due. A run that somebody has asked for here goes on.
    pub(crate) fn left_to_another(&self) {
        self.ran.send_replace(true);
    }

    /// The run is over.
    pub(crate) fn end(&self) {
        let mut progress = self.progress();
        (progress.running, progress.waiting) = (false, false);
        drop(progress);
        self.holds(0);
        self.ran.send_replace(true);
    }

    /// Ends the run that is under way. Returns whether there is one.
    pub(crate) fn stop(&self) -> bool {
        let mut progress = self.progress();
        progress.stopped |= progress.running;
        let was_running = progress.running;
        drop(progress);
        self.stops.send_modify(|stops| *stops += 1);
        was_running
    }

    /// Waits until the run that begins now is to end.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stops = self.stops.subscribe();
        async move {
            if stops.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits for the end of its first run.
    pub(crate) async fn ran_once(&self) {
        let _ = self.ran.subscribe().wait_for(|ran| *ran).await;
    }

    pub(crate) fn is_running(&self) -> bool {
        self.progress().running
    }

    pub(crate) fn report(&self) -> JobReport {
        self.progress().clone()
    }

    fn progress(&self) -> MutexGuard<'_, JobReport> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::config::WarmBase;

    #[test]
    fn a_turn_of_another_replica_ends_no_run_here() {
        let job = Job::new(WarmJob::once("asked", Vec::new(), WarmBase { scheme: "http", host: None }));
        job.begin(false);
        job.found(3);
        let ran_once = || pin!(job.ran_once()).poll(&mut Context::from_waker(Waker::noop())).is_ready();
        assert!(!ran_once());
        job.left_to_another();
        assert_eq!((job.is_running(), job.report().total), (true, 3));
        assert!(ran_once(), "what it fetches is there");
    }
}
