//! The jobs of `[[warm]]`, and those that somebody asks for once: which there are, and how they stand. What runs them is `crate::warm`'s.

mod job;
mod report;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::task::{AbortHandle, JoinSet};

use crate::config::{Config, WarmJob};
use crate::telemetry::snapshot::{LabelledCount, WarmSnapshot};
use job::Counts;
pub(crate) use job::{Fetched, Job};
pub(crate) use report::JobReport;

/// Jobs of one run that are remembered.
const MAX_ONCE: usize = 16;

/// Why a job is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The process starts.
    Start,
    /// A configuration came into force in which it is new.
    Reload,
    /// A configuration came into force in which it is as it was.
    ReloadAsBefore,
    /// Somebody asks for it.
    Asked {
        /// Only to know what it would do.
        dry: bool,
    },
}

/// Begins to run a job in a task of its own.
pub(crate) type Runner = Box<dyn Fn(Arc<Job>, Event) -> AbortHandle + Send + Sync>;

/// The jobs of the configuration in force.
#[derive(Default)]
pub(crate) struct Jobs {
    runner: OnceLock<Runner>,
    all: Mutex<Vec<Arc<Job>>>,
    /// Those that somebody has asked for once, the last ones of them.
    once: Mutex<Vec<Arc<Job>>>,
    /// Those of all configured jobs since the start, by name: a reload begins none anew.
    counts: Mutex<BTreeMap<String, Arc<Counts>>>,
    numbers: AtomicU64,
    tasks: Mutex<Vec<(Arc<Job>, AbortHandle)>>,
}

impl Jobs {
    /// What runs them. To be called once, before [`Self::follow`].
    pub(crate) fn run_by(&self, runner: Runner) {
        let _ = self.runner.set(runner);
    }

    /// Takes the jobs of a configuration that came into force. Those that are as they were keep their counts, and a run under way goes on, as does one that
    /// somebody has asked for once; runs of the others are stopped.
    pub(crate) fn follow(&self, config: &Config, event: Event) {
        let Some(runner) = self.runner.get() else { return };
        let known = self.configured();
        let (mut jobs, mut tasks) = (Vec::new(), self.tasks());
        tasks.retain(|(_, task)| !task.is_finished());
        for job in known.iter().filter(|job| !config.warm.contains(&job.config)) {
            job.stop();
        }
        for config in &config.warm {
            let (job, event) = match known.iter().find(|job| job.config == *config) {
                Some(job) => (Arc::clone(job), Event::ReloadAsBefore),
                None => {
                    let before = known.iter().find(|job| job.config.name == config.name);
                    let counts = Arc::clone(lock(&self.counts).entry(config.name.clone()).or_default());
                    (Job::after(before, config.clone(), counts), event)
                }
            };
            tasks.push((Arc::clone(&job), runner(Arc::clone(&job), event)));
            jobs.push(job);
        }
        let stays = |job: &Arc<Job>| jobs.iter().chain(lock(&self.once).iter()).any(|other| Arc::ptr_eq(job, other));
        for (job, task) in tasks.extract_if(.., |(job, _)| !stays(job)) {
            task.abort();
            job.end();
        }
        *lock(&self.all) = jobs;
    }

    /// Waits for the jobs that `/readyz` waits for at the start; `None`: there are none.
    pub(crate) fn before_ready(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let jobs: Vec<Arc<Job>> = self.configured().into_iter().filter(|job| job.config.ready).collect();
        (!jobs.is_empty()).then_some(async move {
            // Each has its time from now on, and not from when the one before it has ended.
            let waits = jobs.into_iter().map(|job| async move {
                if tokio::time::timeout(job.config.ready_timeout, job.ran_once()).await.is_err() {
                    let (name, seconds) = (&job.config.name, job.config.ready_timeout.as_secs());
                    tracing::warn!(job = name, "the process is ready before the job {name} is: it has had its {seconds} seconds");
                }
            });
            waits.collect::<JoinSet<()>>().join_all().await;
        })
    }

    /// Runs these jobs now, or all of them; one that runs already goes on. `Err`: one of the names is no job's.
    pub(crate) fn start(&self, names: &[String], dry: bool) -> Result<Vec<JobReport>, String> {
        let jobs = self.configured();
        if let Some(unknown) = names.iter().find(|name| jobs.iter().all(|job| job.config.name != **name)) {
            return Err(unknown.clone());
        }
        let chosen: Vec<_> = jobs.into_iter().filter(|job| names.is_empty() || names.contains(&job.config.name)).collect();
        chosen.iter().filter(|job| !job.is_running()).for_each(|job| self.run(job, dry));
        Ok(chosen.iter().map(|job| job.report()).collect())
    }

    /// Runs a job that stands in no configuration, once. It gets a name of its own.
    pub(crate) fn start_once(&self, config: WarmJob, dry: bool) -> JobReport {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let job = Job::new(WarmJob { name: format!("{}-{number}", config.name), ..config });
        let mut once = lock(&self.once);
        while once.len() >= MAX_ONCE {
            let oldest = once.iter().position(|job| !job.is_running()).unwrap_or(0);
            once.remove(oldest).stop();
        }
        once.push(Arc::clone(&job));
        drop(once);
        self.run(&job, dry);
        job.report()
    }

    fn run(&self, job: &Arc<Job>, dry: bool) {
        let Some(runner) = self.runner.get() else { return };
        job.begin(dry);
        let task = runner(Arc::clone(job), Event::Asked { dry });
        self.tasks().push((Arc::clone(job), task));
    }

    /// Ends the run of a job that is under way; `None`: there is no such job.
    pub(crate) fn stop(&self, name: &str) -> Option<JobReport> {
        let job = self.all().into_iter().find(|job| job.config.name == name)?;
        job.stop();
        Some(job.report())
    }

    /// Every job, as it stands now.
    pub(crate) fn report(&self) -> Vec<JobReport> {
        self.all().iter().map(|job| job.report()).collect()
    }

    /// The figures for metrics: those of jobs that are or were configured, for the others would be labels without end.
    pub(crate) fn snapshot(&self) -> Vec<WarmSnapshot> {
        let running: Vec<_> = self.configured().into_iter().filter(|job| job.is_running()).collect();
        let of = |(name, counts): (&String, &Arc<Counts>)| WarmSnapshot {
            job: name.clone(),
            requests: counts.labelled().map(|(label, count)| LabelledCount { label, count }).into(),
            is_running: running.iter().any(|job| job.config.name == *name),
        };
        lock(&self.counts).iter().map(of).collect()
    }

    /// Bytes of memory that they take.
    pub(crate) fn bytes(&self) -> u64 {
        self.all().iter().map(|job| job.bytes()).sum()
    }

    fn configured(&self) -> Vec<Arc<Job>> {
        lock(&self.all).clone()
    }

    fn all(&self) -> Vec<Arc<Job>> {
        let mut all = self.configured();
        all.extend(lock(&self.once).iter().cloned());
        all
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<(Arc<Job>, AbortHandle)>> {
        lock(&self.tasks)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("all", &self.all).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, WarmBase};

    /// Jobs whose runs begin, and never end by themselves.
    fn jobs() -> Jobs {
        let jobs = Jobs::default();
        jobs.run_by(Box::new(|_, _| tokio::spawn(std::future::pending::<()>()).abort_handle()));
        jobs
    }

    fn config(concurrency: usize) -> Config {
        let text = format!(
            "[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n[[warm]]\nname = \"list\"\nurls = [\"http://a.example/a\"]\nconcurrency = {concurrency}"
        );
        let parsed = config::parse("test.toml", text.as_bytes(), &Default::default());
        parsed.unwrap_or_else(|report| panic!("{}", report.render(false))).0
    }

    #[tokio::test]
    async fn counts_of_a_job_outlive_a_reload_that_changes_it_or_takes_it_away() {
        let jobs = jobs();
        let stored = || jobs.snapshot().iter().map(|job| (job.job.clone(), job.requests[1].count)).collect::<Vec<_>>();
        for number in [1, 2] {
            jobs.follow(&config(number), Event::Reload);
            jobs.configured()[0].took(&Fetched::Stored);
            assert_eq!(stored(), [("list".to_owned(), number as u64)]);
        }
        let mut none = config(1);
        none.warm.clear();
        jobs.follow(&none, Event::Reload);
        assert_eq!(stored(), [("list".to_owned(), 2)]);
    }

    #[tokio::test]
    async fn a_reload_ends_no_run_that_was_asked_for_once() {
        let jobs = jobs();
        jobs.follow(&config(1), Event::Start);
        let asked = jobs.start_once(WarmJob::once("asked", Vec::new(), WarmBase { scheme: "http", host: None }), false);
        for concurrency in [2, 3] {
            jobs.follow(&config(concurrency), Event::Reload);
            let own = jobs.report().into_iter().find(|job| job.name == asked.name).expect("it is remembered");
            assert!(own.running && !own.stopped, "{own:?}");
        }
        assert!(jobs.tasks().iter().any(|(job, task)| job.config.name == asked.name && !task.is_finished()));
    }

    #[tokio::test]
    async fn a_run_that_a_reload_ends_is_reported_as_stopped() {
        let jobs = jobs();
        jobs.follow(&config(1), Event::Start);
        jobs.start(&[], false).expect("there is such a job");
        jobs.configured()[0].found(9);
        jobs.follow(&config(2), Event::Reload);
        let job = &jobs.report()[0];
        assert_eq!((job.running, job.stopped, job.total), (false, true, 9), "{job:?}");
        assert!(!jobs.start(&[], false).expect("there is such a job")[0].stopped, "its next run is another");
    }
}
