//! Writes that wait for their turn, bounded in number and in bytes: what does not fit is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_store::{Ending, Write};
use tokio::sync::{Notify, mpsc};

use crate::value::EntryKey;

/// Writes that may wait.
const MOST: usize = 4096;

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Job {
    Commit(Write),
    Freshen(Write),
    Remove { entry: EntryKey, fetch: u64 },
    Release { key: String, token: u64, ending: Ending },
}

impl Job {
    fn bytes(&self) -> u64 {
        match self {
            Self::Commit(write) | Self::Freshen(write) => write.response.body_length(),
            Self::Remove { .. } | Self::Release { .. } => 0,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Queue {
    sender: mpsc::Sender<(Job, Place)>,
    held: Arc<Held>,
    /// Bytes of bodies that may wait. They are the memory tier's own, but would outlive their eviction there.
    max_bytes: u64,
}

#[derive(Debug, Default)]
struct Held {
    jobs: AtomicU64,
    bytes: AtomicU64,
    /// Told whenever a job is over.
    over: Notify,
}

/// A job's place in the figures, from when it is taken on until it is done or given up.
#[derive(Debug)]
pub(crate) struct Place {
    held: Arc<Held>,
    bytes: u64,
}

impl Queue {
    pub(crate) fn new(max_bytes: u64) -> (Self, mpsc::Receiver<(Job, Place)>) {
        let (sender, receiver) = mpsc::channel(MOST);
        (Self { sender, held: Arc::default(), max_bytes }, receiver)
    }

    /// `false`: there is no room. A body that is larger than all of it waits alone.
    pub(crate) fn push(&self, job: Job) -> bool {
        let bytes = job.bytes();
        let held = self.bytes();
        if bytes > 0 && held > 0 && held + bytes > self.max_bytes {
            return false;
        }
        self.held.jobs.fetch_add(1, Ordering::Relaxed);
        self.held.bytes.fetch_add(bytes, Ordering::Relaxed);
        let place = Place { held: Arc::clone(&self.held), bytes };
        self.sender.try_send((job, place)).is_ok()
    }

    pub(crate) fn jobs(&self) -> u64 {
        self.held.jobs.load(Ordering::Relaxed)
    }

    /// Nothing waits and nothing is under way.
    pub(crate) async fn idle(&self) {
        loop {
            // Made before the look, so that no end in between is missed.
            let over = self.held.over.notified();
            if self.jobs() == 0 {
                return;
            }
            over.await;
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.held.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.held.jobs.fetch_sub(1, Ordering::Relaxed);
        self.held.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.held.over.notify_waiters();
    }
}
