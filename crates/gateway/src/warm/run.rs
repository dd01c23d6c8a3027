//! One run of a job: so many requests at a time, as fast as it may.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::request::{fetch, is_busy};
use crate::jobs::{Event, Job};
use crate::proxy::Gateway;

/// For how long other replicas leave a run at the start, or after a reload, to the one that has begun it: so far apart they start.
const TURN: Duration = Duration::from_secs(60);

/// How often it is looked whether clients still wait for the upstream.
const LOOK: Duration = Duration::from_millis(50);

/// Runs a job at the event, and as often as it says, for as long as it is polled; once where somebody asks for it.
pub(super) async fn keep_running(gateway: Weak<Gateway>, job: Arc<Job>, event: Event) {
    let is_due = match event {
        Event::Start => job.config.on_start,
        Event::Reload => job.config.on_reload,
        Event::Asked => {
            if let Some(gateway) = gateway.upgrade() {
                run(&gateway, &job).await;
            }
            return;
        }
    };
    if is_due {
        take_turn(&gateway, &job, TURN).await;
    }
    while let Some(every) = job.config.every {
        sleep(every).await;
        take_turn(&gateway, &job, every / 2).await;
    }
}

/// Runs it, unless another replica does within this term.
async fn take_turn(gateway: &Weak<Gateway>, job: &Job, term: Duration) {
    let Some(gateway) = gateway.upgrade() else { return };
    if let Some(redis) = &gateway.redis {
        // Where Redis does not answer, each replica warms itself.
        let turn = redis.store().turn(&format!("warm/{}", job.config.name), term).await;
        if turn.is_ok_and(|(_, is_own)| !is_own) {
            info!(job = job.config.name, "another replica warms for this job");
            return job.end();
        }
    }
    run(&gateway, job).await;
}

/// Runs it now, after a run that is under way.
async fn run(gateway: &Arc<Gateway>, job: &Job) {
    let _running = job.running.lock().await;
    job.begin();
    let pace = job.config.rate.map(|rate| {
        let mut ticks = interval(Duration::from_secs(1) / rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Mutex::new(ticks)
    });
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    let shared = Arc::new((job.config.urls.clone(), job.config.headers.clone(), pace));
    let (told, mut fetched) = tokio::sync::mpsc::channel(job.config.concurrency);
    for _ in 0..job.config.concurrency.min(job.config.urls.len()) {
        let (gateway, next, shared, told) = (Arc::clone(gateway), Arc::clone(&next), Arc::clone(&shared), told.clone());
        workers.spawn(async move {
            let (urls, headers, pace) = &*shared;
            while let Some(url) = urls.get(next.fetch_add(1, Ordering::Relaxed)) {
                wait_for_room(&gateway, url, pace.as_ref()).await;
                let (outcome, pause) = fetch(&gateway, url, headers).await;
                if told.send(outcome).await.is_err() {
                    return;
                }
                if let Some(pause) = pause {
                    sleep(pause).await;
                }
            }
        });
    }
    drop(told);
    // A worker that is gone tells nothing more, so this ends.
    while let Some(outcome) = fetched.recv().await {
        job.took(&outcome);
    }
    workers.shutdown().await;
    job.end();
    let report = job.report();
    let (name, total, hits, stored, failed) = (&report.name, report.total, report.hits, report.stored, report.failed);
    if failed == 0 {
        info!(job = name, total, hits, stored, failed, "the job {name} has ended");
    } else {
        warn!(job = name, total, hits, stored, failed, reasons = ?report.reasons, "the job {name} has ended, and some of it failed");
    }
}

/// Waits for the rate, and for as long as requests of clients wait for a place at the same upstream.
async fn wait_for_room(gateway: &Gateway, url: &http::Uri, pace: Option<&Mutex<Interval>>) {
    if let Some(pace) = pace {
        pace.lock().await.tick().await;
    }
    while is_busy(gateway, url) {
        sleep(LOOK).await;
    }
}
