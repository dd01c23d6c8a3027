//! Does the writes that wait in the queue.

use std::sync::{Arc, Weak};

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

impl WriteTask {
    /// Does it. A failure is counted in the metrics; no request waits for it.
    pub(crate) async fn run(self, tier: &Arc<Tier>) {
        let response = self.response();
        let outcome = match self {
            Self::Commit(write) => write::commit(tier, write).await,
            Self::Freshen(write) => write::freshen(tier, write).await,
            Self::Remove { entry, fetch, why } => {
                let removed = write::remove(tier, entry, fetch, &why).await;
                if let (Err(_), Removal::Disowned(must_go)) = (&removed, why) {
                    must_go.invalidate(&tier.log).await;
                }
                removed
            }
            Self::Release { key, token, ending } => lease::release(tier, key, token, ending).await,
        };
        if let Err(error) = outcome {
            debug!("a write to Redis failed: {error}");
            response.into_iter().for_each(|response| tier.outdate(&response));
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
