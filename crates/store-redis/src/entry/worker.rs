//! Does the writes that wait in the queue.

use std::sync::{Arc, Weak};

use tokio::sync::{Semaphore, mpsc};
use tracing::debug;

use super::lease;
use super::queue::{Job, Place};
use super::tier::Inner;
use super::write;

/// Writes under way at the same time.
const AT_ONCE: usize = 16;

impl Job {
    /// Does it. A failure is told by the metrics; there is nobody else to tell.
    pub(crate) async fn run(self, inner: &Arc<Inner>) {
        let outcome = match self {
            Self::Commit(write) => write::commit(inner, write).await,
            Self::Freshen(write) => write::freshen(inner, write).await,
            Self::Remove { entry, fetch } => write::remove(inner, entry, fetch).await,
            Self::Release { key, token, ending } => lease::release(inner, key, token, ending).await,
        };
        if let Err(error) = outcome {
            debug!("a write to Redis failed: {error}");
        }
    }
}

/// Does the jobs, until the store is gone.
pub(crate) async fn work(inner: Weak<Inner>, mut jobs: mpsc::Receiver<(Job, Place)>) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    while let Some((job, place)) = jobs.recv().await {
        let Some(inner) = inner.upgrade() else { return };
        let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
        tokio::spawn(async move {
            job.run(&inner).await;
            drop((place, turn));
        });
    }
}
