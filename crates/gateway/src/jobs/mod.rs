//! The jobs of `[[warm]]`: which there are, and how they stand. What runs them is `crate::warm`'s.

mod job;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::task::AbortHandle;

use crate::config::{Config, WarmJob};
use crate::telemetry::snapshot::{LabelledCount, WarmSnapshot};
pub(crate) use job::{Fetched, Job, JobReport};

/// Why a job is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The process starts.
    Start,
    /// Another configuration came into force.
    Reload,
    /// Somebody asks for it.
    Asked,
}

/// Begins to run a job in a task of its own.
pub(crate) type Runner = Box<dyn Fn(Arc<Job>, Event) -> AbortHandle + Send + Sync>;

/// The jobs of the configuration in force.
#[derive(Default)]
pub(crate) struct Jobs {
    runner: OnceLock<Runner>,
    all: Mutex<Vec<Arc<Job>>>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Jobs {
    /// What runs them. To be called once, before [`Self::follow`].
    pub(crate) fn run_by(&self, runner: Runner) {
        let _ = self.runner.set(runner);
    }

    /// Takes the jobs of a configuration that came into force. Those that are as they were keep their counts; runs under way end.
    pub(crate) fn follow(&self, config: &Config, event: Event) {
        let Some(runner) = self.runner.get() else { return };
        let known = self.all();
        let same = |config: &WarmJob| known.iter().find(|job| job.config == *config).cloned();
        let jobs: Vec<Arc<Job>> = config.warm.iter().map(|config| same(config).unwrap_or_else(|| Job::new(config.clone()))).collect();
        let tasks = jobs.iter().map(|job| runner(Arc::clone(job), event)).collect();
        let before = std::mem::replace(&mut *self.tasks(), tasks);
        before.iter().for_each(AbortHandle::abort);
        *self.all.lock().unwrap_or_else(PoisonError::into_inner) = jobs;
    }

    /// Waits for the jobs that `/readyz` waits for at the start; `None`: there are none.
    pub(crate) fn before_ready(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let jobs: Vec<Arc<Job>> = self.all().into_iter().filter(|job| job.config.ready).collect();
        (!jobs.is_empty()).then_some(async move {
            for job in jobs {
                if tokio::time::timeout(job.config.ready_timeout, job.ran_once()).await.is_err() {
                    let (name, seconds) = (&job.config.name, job.config.ready_timeout.as_secs());
                    tracing::warn!(job = name, "the process is ready before the job {name} is: it has had its {seconds} seconds");
                }
            }
        })
    }

    /// Runs these jobs now, or all of them. `Err`: one of the names is no job's.
    pub(crate) fn start(&self, names: &[String]) -> Result<Vec<JobReport>, String> {
        let jobs = self.all();
        if let Some(unknown) = names.iter().find(|name| jobs.iter().all(|job| job.config.name != **name)) {
            return Err(unknown.clone());
        }
        let chosen: Vec<_> = jobs.into_iter().filter(|job| names.is_empty() || names.contains(&job.config.name)).collect();
        for (job, runner) in chosen.iter().filter_map(|job| Some((job, self.runner.get()?))) {
            job.begin();
            // A reload ends it as it ends the others.
            let mut tasks = self.tasks();
            tasks.retain(|task| !task.is_finished());
            tasks.push(runner(Arc::clone(job), Event::Asked));
        }
        Ok(chosen.iter().map(|job| job.report()).collect())
    }

    /// Every job, as it stands now.
    pub(crate) fn report(&self) -> Vec<JobReport> {
        self.all().iter().map(|job| job.report()).collect()
    }

    /// The figures for metrics.
    pub(crate) fn snapshot(&self) -> Vec<WarmSnapshot> {
        let of = |job: &Arc<Job>| WarmSnapshot {
            job: job.config.name.clone(),
            requests: job.counts().map(|(label, count)| LabelledCount { label, count }).into(),
            is_running: job.is_running(),
        };
        self.all().iter().map(of).collect()
    }

    fn all(&self) -> Vec<Arc<Job>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<AbortHandle>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("all", &self.all).finish_non_exhaustive()
    }
}
