//! Does the writes that wait in the queue.

use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_store::{Invalidation, InvalidationLog, InvalidationTarget};
use tokio::sync::{Semaphore, mpsc};
use tracing::debug;

use super::lease;
use super::queue::{MustGo, Queued, Removal, WriteTask};
use super::tier::Tier;
use super::write;
use crate::log::Log;

/// Writes under way at the same time.
const MAX_CONCURRENT_WRITES: usize = 16;

/// How long a removal holds off the write of what was removed, which this replica or another one may have under way: longer than a write takes
/// that waits behind a whole queue, on a server that answers just in time.
const MARKED: Duration = Duration::from_secs(120);

impl WriteTask {
    /// Does it. A failure is counted in the metrics; no request waits for it.
    pub(crate) async fn run(self, tier: &Arc<Tier>) {
        let outcome = match self {
            Self::Commit(write) => write::commit(tier, write).await,
            Self::Freshen(write) => write::freshen(tier, write).await,
            Self::Remove { entry, fetch, why: Removal::Useless } => write::remove(tier, entry, fetch, None).await,
            Self::Remove { entry, fetch, why: Removal::Disowned(must_go) } => {
                let removed = write::remove(tier, entry, fetch, Some(MARKED)).await;
                if removed.is_err() {
                    must_go.invalidate(&tier.log).await;
                }
                removed
            }
            Self::Release { key, token, ending } => lease::release(tier, key, token, ending).await,
        };
        if let Err(error) = outcome {
            debug!("a write to Redis failed: {error}");
        }
    }
}

impl MustGo {
    pub(crate) async fn invalidate(self, log: &Log) {
        log.publish(Invalidation::hard([InvalidationTarget::Url(self.url)])).await;
    }
}

/// Does the jobs, until the store is gone.
pub(crate) async fn work(tier: Weak<Tier>, mut jobs: mpsc::Receiver<(WriteTask, Queued)>) {
    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_WRITES));
    while let Some((job, queued)) = jobs.recv().await {
        let Some(tier) = tier.upgrade() else { return };
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        tokio::spawn(async move {
            job.run(&tier).await;
            drop((queued, permit));
        });
    }
}
