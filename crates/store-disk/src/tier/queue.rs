//! Writes that wait for the thread that does them, bounded in number and in bytes of bodies.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder_store::{StoredResponse, Write};
use tokio::sync::Notify;

use super::hash_of;

/// Writes that may wait.
const MAX_JOBS: usize = 4_096;

/// One thing to do.
#[derive(Debug)]
pub(crate) enum WriteTask {
    Commit(Write),
    /// The body is there already, unless it is short.
    Freshen(Write),
    Remove {
        hash: u64,
        fetch: u64,
    },
}

impl WriteTask {
    pub(crate) fn is_removal(&self) -> bool {
        matches!(self, Self::Remove { .. })
    }

    /// The response that is to be written.
    pub(crate) fn response(&self) -> Option<&StoredResponse> {
        match self {
            Self::Commit(write) | Self::Freshen(write) => Some(&write.response),
            Self::Remove { .. } => None,
        }
    }

    /// The hash of the key and variant that it is about, and the number of the fetch.
    pub(crate) fn target(&self, seed: u64) -> (u64, u64) {
        match self {
            Self::Commit(Write { response, .. }) | Self::Freshen(Write { response, .. }) => {
                (hash_of(seed, &response.key(), response.variant()), response.fetch)
            }
            Self::Remove { hash, fetch } => (*hash, *fetch),
        }
    }

    /// Bytes that it takes in the queue.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Commit(write) | Self::Freshen(write) => write.response.body_length(),
            Self::Remove { .. } => 0,
        }
    }
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Queue {
    max_bytes: u64,
    state: Mutex<State>,
    changed: Condvar,
    /// Notified whenever a job is over.
    over: Notify,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<WriteTask>,
    /// Bytes of bodies, of the job under way too.
    bytes: u64,
    is_working: bool,
    is_closed: bool,
}

/// What the thread has to do next.
#[derive(Debug)]
pub(crate) enum Next {
    WriteTask(WriteTask),
    /// Nothing came for a while.
    Idle,
    Closed,
}

impl Queue {
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, state: Mutex::default(), changed: Condvar::new(), over: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the job back where there is no room for it. A body that is larger than all of it waits alone.
    pub(crate) fn push(&self, job: WriteTask) -> Result<(), WriteTask> {
        let bytes = job.bytes();
        let mut state = self.state();
        let has_room = bytes == 0 || state.bytes == 0 || state.bytes.saturating_add(bytes) <= self.max_bytes;
        if !has_room || state.jobs.len() >= MAX_JOBS || state.is_closed {
            return Err(job);
        }
        state.bytes += bytes;
        state.jobs.push_back(job);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for a job, for so long.
    pub(crate) fn next(&self, time_limit: Duration) -> Next {
        let waiting = |state: &mut State| state.jobs.is_empty() && !state.is_closed;
        let (mut state, _) = self.changed.wait_timeout_while(self.state(), time_limit, waiting).unwrap_or_else(PoisonError::into_inner);
        match state.jobs.pop_front() {
            Some(job) => {
                state.is_working = true;
                Next::WriteTask(job)
            }
            None if state.is_closed => Next::Closed,
            None => Next::Idle,
        }
    }

    /// Waits until it is closed, for so long.
    pub(crate) fn is_closed_within(&self, time_limit: Duration) -> bool {
        let waiting = |state: &mut State| !state.is_closed;
        let (state, _) = self.changed.wait_timeout_while(self.state(), time_limit, waiting).unwrap_or_else(PoisonError::into_inner);
        state.is_closed
    }

    /// The job that was given out is over.
    pub(crate) fn done(&self, bytes: u64) {
        let mut state = self.state();
        state.bytes -= bytes;
        state.is_working = false;
        drop(state);
        self.over.notify_waiters();
    }

    /// Nothing more is taken; what waits is still done.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    /// What waits is given up by the caller.
    pub(crate) fn clear(&self) -> VecDeque<WriteTask> {
        let mut state = self.state();
        let jobs = std::mem::take(&mut state.jobs);
        state.bytes -= jobs.iter().map(WriteTask::bytes).sum::<u64>();
        jobs
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Writes that wait, and bytes of their bodies.
    pub(crate) fn waiting(&self) -> (u64, u64) {
        let state = self.state();
        (state.jobs.len() as u64, state.bytes)
    }

    /// Nothing waits and nothing is under way.
    pub(crate) async fn idle(&self) {
        loop {
            // Made before the look, so that no end in between is missed.
            let over = self.over.notified();
            {
                let state = self.state();
                if state.jobs.is_empty() && !state.is_working {
                    return;
                }
            }
            over.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::write;

    fn commit(bytes: usize) -> WriteTask {
        WriteTask::Commit(write("/x", bytes, 1))
    }

    fn push(queue: &Queue, job: WriteTask) -> bool {
        queue.push(job).is_ok()
    }

    fn take(queue: &Queue) -> u64 {
        match queue.next(Duration::ZERO) {
            Next::WriteTask(job) => job.bytes(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bodies_beyond_its_bytes_are_refused_until_one_before_them_is_over() {
        let queue = Queue::new(100);
        assert!(push(&queue, commit(40)) && push(&queue, commit(60)) && !push(&queue, commit(1)));
        assert!(push(&queue, commit(0)) && push(&queue, WriteTask::Remove { hash: 1, fetch: 1 }));
        let under_way = take(&queue);
        assert!(!push(&queue, commit(1)), "it takes its room until it is over");
        queue.done(under_way);
        assert!(!push(&queue, commit(41)) && push(&queue, commit(40)));
        assert_eq!(queue.waiting(), (4, 100));
    }

    #[test]
    fn a_body_larger_than_all_of_it_waits_alone() {
        let queue = Queue::new(100);
        assert!(push(&queue, commit(1)) && !push(&queue, commit(101)));
        let under_way = take(&queue);
        queue.done(under_way);
        assert!(push(&queue, commit(101)) && !push(&queue, commit(1)));
        assert_eq!((queue.clear().len(), queue.waiting()), (1, (0, 0)));
    }

    #[test]
    fn what_waits_when_it_is_closed_is_still_given_out() {
        let queue = Queue::new(100);
        assert!(push(&queue, commit(1)));
        queue.close();
        assert!(!push(&queue, commit(1)));
        let under_way = take(&queue);
        queue.done(under_way);
        assert!(matches!(queue.next(Duration::MAX), Next::Closed));
    }

    #[tokio::test]
    async fn it_is_idle_once_all_that_was_taken_is_over() {
        let queue = Queue::new(100);
        queue.idle().await;
        assert!(push(&queue, commit(1)));
        let under_way = take(&queue);
        let mut idle = std::pin::pin!(queue.idle());
        tokio::select! {
            biased;
            () = idle.as_mut() => panic!("one is under way"),
            () = std::future::ready(()) => {}
        }
        queue.done(under_way);
        idle.await;
    }
}
