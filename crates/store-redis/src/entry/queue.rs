//! Writes that wait for their turn, bounded in number and in bytes: what does not fit is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_store::{LeaseEnd, Write};
use tokio::sync::{Notify, mpsc};

use crate::value::EntryKey;

/// Writes that may wait.
const MAX_JOBS: usize = 4096;

/// One thing to do.
#[derive(Debug)]
pub(crate) enum WriteTask {
    Commit(Write),
    Freshen(Write),
    Remove { entry: EntryKey, fetch: u64 },
    Release { key: String, token: u64, ending: LeaseEnd },
}

impl WriteTask {
    fn bytes(&self) -> u64 {
        match self {
            Self::Commit(write) | Self::Freshen(write) => write.response.body_length(),
            Self::Remove { .. } | Self::Release { .. } => 0,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Queue {
    sender: mpsc::Sender<(WriteTask, Queued)>,
    figures: Arc<Figures>,
    /// Bytes of bodies that may wait. They are the memory tier's own, but would outlive their eviction there.
    max_bytes: u64,
}

#[derive(Debug, Default)]
struct Figures {
    jobs: AtomicU64,
    bytes: AtomicU64,
    /// Notified whenever a job is over.
    over: Notify,
}

/// A job as it is counted in the figures, from when it is queued until it is done or given up.
#[derive(Debug)]
pub(crate) struct Queued {
    figures: Arc<Figures>,
    bytes: u64,
}

impl Queue {
    pub(crate) fn new(max_bytes: u64) -> (Self, mpsc::Receiver<(WriteTask, Queued)>) {
        let (sender, receiver) = mpsc::channel(MAX_JOBS);
        (Self { sender, figures: Arc::default(), max_bytes }, receiver)
    }

    /// `false`: there is no room. A body that is larger than all of it waits alone.
    pub(crate) fn push(&self, job: WriteTask) -> bool {
        let bytes = job.bytes();
        let figures = self.bytes();
        if bytes > 0 && figures > 0 && figures + bytes > self.max_bytes {
            return false;
        }
        self.figures.jobs.fetch_add(1, Ordering::Relaxed);
        self.figures.bytes.fetch_add(bytes, Ordering::Relaxed);
        let queued = Queued { figures: Arc::clone(&self.figures), bytes };
        self.sender.try_send((job, queued)).is_ok()
    }

    pub(crate) fn jobs(&self) -> u64 {
        self.figures.jobs.load(Ordering::Relaxed)
    }

    /// Nothing waits and nothing is under way.
    pub(crate) async fn idle(&self) {
        loop {
            // Made before the look, so that no end in between is missed.
            let over = self.figures.over.notified();
            if self.jobs() == 0 {
                return;
            }
            over.await;
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.figures.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.figures.jobs.fetch_sub(1, Ordering::Relaxed);
        self.figures.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.figures.over.notify_waiters();
    }
}
