//! When a job runs.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;
use tracing::info;

use super::item::Extent;
use super::run::run;
use crate::jobs::{Event, Job};
use crate::proxy::Gateway;

/// For how long other replicas leave a run to the one that has begun it, at the start, after a reload or at a time of day: so far apart they begin.
const TURN: Duration = Duration::from_secs(60);

/// Between the end of what a purge has led to and the next purge that counts at least so much time passes, in which more may come.
const AFTER_PURGE: Duration = Duration::from_millis(100);

/// Runs a job at the event, and as often as it says, for as long as it is polled; once where somebody asks for it.
pub(super) async fn keep_running(gateway: Weak<Gateway>, job: Arc<Job>, event: Event) {
    let is_due = match event {
        Event::Start => job.config.on_start,
        Event::Reload | Event::ReloadAsBefore => job.config.on_reload,
        Event::Asked { dry } => {
            let extent = if dry { Extent::Nothing } else { Extent::Everything };
            return run(&gateway, &job, extent, true).await;
        }
    };
    if is_due {
        take_turn(&gateway, &job, TURN).await;
    }
    // As before, its times pass in the task that it has already.
    if event != Event::ReloadAsBefore {
        tokio::join!(keep_time(&gateway, &job), follow_purges(&gateway, &job));
    }
}

async fn keep_time(gateway: &Weak<Gateway>, job: &Arc<Job>) {
    loop {
        let now = || Some(gateway.upgrade()?.clock.now().as_millis());
        let (wait, term) = match (job.config.every, job.config.at) {
            (Some(every), _) => (every, every / 2),
            (None, Some(at)) => match now() {
                Some(now) => (at.from_now(now), TURN),
                None => return,
            },
            (None, None) => return,
        };
        sleep(wait).await;
        take_turn(gateway, job, term).await;
    }
}

/// Fetches again what purges reach of the job, where it says so. The replica that is told of a purge does that, and no other.
async fn follow_purges(gateway: &Weak<Gateway>, job: &Arc<Job>) {
    if !job.config.on_purge {
        return;
    }
    let Some(mut purges) = gateway.upgrade().map(|gateway| gateway.cache.watch_purges()) else { return };
    // Those that come together, or during a run, count once.
    while purges.changed().await.is_ok() {
        run(gateway, job, Extent::Purged, false).await;
        sleep(AFTER_PURGE).await;
    }
}

/// Runs it, unless another replica that lives has done so within this term, or still does.
async fn take_turn(gateway: &Weak<Gateway>, job: &Arc<Job>, term: Duration) {
    let Some(through) = gateway.upgrade() else { return };
    let store = through.redis.as_ref().map(|redis| redis.store().clone());
    drop(through);
    let running = run(gateway, job, Extent::Everything, false);
    let Some(store) = store else { return running.await };
    let name = format!("warm/{}", job.config.name);
    // Where Redis does not answer, each replica warms itself.
    if store.take_turn(&name, term).await.is_ok_and(|is_own| !is_own) {
        info!(job = job.config.name, "another replica warms for this job");
        return job.left_to_another();
    }
    let keeping = async {
        loop {
            sleep(term / 2).await;
            store.keep_turn(&name, term).await;
        }
    };
    tokio::select! {
        () = running => {}
        () = keeping => {}
    }
}
