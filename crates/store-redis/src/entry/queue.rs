//! Writes that wait for their turn, bounded in number and in bytes: what does not fit is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_store::{LeaseEnd, StoredResponse, Write};
use tokio::sync::{Notify, mpsc};

use crate::log::Log;
use crate::value::EntryKey;

/// Writes that may wait.
const MAX_JOBS: usize = 4096;

/// One thing to do.
#[derive(Debug)]
pub(crate) enum WriteTask {
    Commit(Write),
    Freshen(Write),
    Remove { entry: EntryKey, fetch: u64, why: Removal },
    Release { key: String, token: u64, ending: LeaseEnd },
}

impl WriteTask {
    fn bytes(&self) -> u64 {
        match self {
            Self::Commit(write) | Self::Freshen(write) => write.response.body_length(),
            Self::Remove { .. } | Self::Release { .. } => 0,
        }
    }

    /// The response that would be written.
    pub(crate) fn response(&self) -> Option<Arc<StoredResponse>> {
        match self {
            Self::Commit(write) | Self::Freshen(write) => Some(Arc::clone(&write.response)),
            Self::Remove { .. } | Self::Release { .. } => None,
        }
    }

    /// It is not done: those who wait for what would have been written go on, all at once.
    pub(crate) fn give_up(self, log: &Arc<Log>) {
        match self {
            Self::Commit(Write { lease: Some(lease), .. }) | Self::Freshen(Write { lease: Some(lease), .. }) => lease.failed(None),
            Self::Remove { why: Removal::Disowned(must_go), .. } => {
                let log = Arc::clone(log);
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move { must_go.invalidate(&log).await });
                }
            }
            Self::Commit(_) | Self::Freshen(_) | Self::Remove { .. } | Self::Release { .. } => {}
        }
    }
}

/// Why an entry is removed.
#[derive(Debug)]
pub(crate) enum Removal {
    /// No replica can use what is there. Any write may take its place.
    Useless,
    /// A later response is not written, and this one must not be found in its place.
    Outdated,
    /// As [`Self::Outdated`], where the later one has a variant and this one would answer for all of them. What leads to variants stays.
    Unvaried,
    /// Its origin does not stand for it any more.
    Disowned(MustGo),
}

impl Removal {
    /// Whether it holds off writes of what was removed, which this replica or another one may have under way.
    pub(crate) fn is_marked(&self) -> bool {
        matches!(self, Self::Outdated | Self::Disowned(_))
    }

    /// Whether only a response is removed.
    pub(crate) fn spares_variants(&self) -> bool {
        matches!(self, Self::Unvaried)
    }
}

/// What is removed is not to be found again, whatever becomes of Redis meanwhile: its origin does not stand for it any more. Where it cannot be removed,
/// its URL is invalidated, which the log gets as soon as it is there.
#[derive(Debug)]
pub(crate) struct MustGo {
    pub(crate) url: String,
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

    /// Gives the job back where there is no room for it. A body that is larger than all of it waits alone.
    pub(crate) fn push(&self, job: WriteTask) -> Result<(), WriteTask> {
        let bytes = job.bytes();
        let has_room = |queued: u64| bytes == 0 || queued == 0 || queued.saturating_add(bytes) <= self.max_bytes;
        // One step: two bodies at the same time do not both take the last room.
        let with_it = |queued: u64| has_room(queued).then(|| queued.saturating_add(bytes));
        if self.figures.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_it).is_err() {
            return Err(job);
        }
        self.figures.jobs.fetch_add(1, Ordering::Relaxed);
        let queued = Queued { figures: Arc::clone(&self.figures), bytes };
        self.sender.try_send((job, queued)).map_err(|refused| refused.into_inner().0)
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

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::Duration;

    use http::{HeaderMap, StatusCode};
    use larder_semantics::{
        FreshnessLifetime, HeadFlags, KeyBuffer, KeyRules, LifetimeSource, StoredFields, StoredHead, Target, Timestamp,
    };
    use larder_store::{BodyBuilder, Position};

    use super::*;

    /// The write of a body of so many bytes.
    fn write(bytes: usize) -> WriteTask {
        let mut buffer = KeyBuffer::default();
        KeyRules::default().derive(Target { scheme: "http", authority: "a", path: "/", query: None }, &HeaderMap::new(), &mut buffer);
        let head = StoredHead {
            status: StatusCode::OK,
            headers: StoredFields::from(&HeaderMap::new()),
            response_time: Timestamp::from_secs(1),
            initial_age: 0,
            lifetime: FreshnessLifetime { seconds: 60, source: LifetimeSource::MaxAge },
            stale_while_revalidate: 0,
            stale_if_error: 0,
            flags: HeadFlags::default(),
            date_seconds: 1,
            origin_control: None,
        };
        let mut body = BodyBuilder::new(bytes as u64);
        body.push(&vec![b'x'; bytes]);
        let response = StoredResponse::new(&buffer.to_key(), None, &head, body.finish(None).unwrap(), &[], Position(0), 1);
        WriteTask::Commit(Write { response: Arc::new(response), keep: Duration::from_secs(60), lease: None, log_position: None })
    }

    fn release() -> WriteTask {
        WriteTask::Release { key: "k".to_owned(), token: 1, ending: LeaseEnd::GivenUp }
    }

    #[test]
    fn bodies_beyond_its_bytes_are_refused_until_one_before_them_is_over() {
        let (queue, mut jobs) = Queue::new(100);
        for bytes in [40, 60] {
            queue.push(write(bytes)).expect("room for both");
        }
        assert_eq!((queue.jobs(), queue.bytes()), (2, 100));
        assert!(queue.push(write(1)).is_err(), "it is full to the byte");
        assert_eq!((queue.jobs(), queue.bytes()), (2, 100), "what is refused is not counted");
        queue.push(write(0)).expect("what takes no room has some");
        queue.push(release()).expect("nor does a lease that is given back");
        let (job, queued) = jobs.try_recv().unwrap();
        assert_eq!(job.bytes(), 40);
        assert!(queue.push(write(1)).is_err(), "it is under way, and takes its room until it is over");
        drop(queued);
        assert!(queue.push(write(41)).is_err());
        queue.push(write(40)).expect("the room that came back");
        assert_eq!((queue.jobs(), queue.bytes()), (4, 100));
    }

    #[test]
    fn a_body_larger_than_all_of_it_waits_alone() {
        let (queue, mut jobs) = Queue::new(100);
        queue.push(write(1)).expect("room");
        assert!(queue.push(write(101)).is_err(), "not beside another one");
        drop(jobs.try_recv().unwrap());
        queue.push(write(101)).expect("alone");
        assert!(queue.push(write(1)).is_err(), "and nothing beside it");
        drop(jobs.try_recv().unwrap());
        assert_eq!((queue.jobs(), queue.bytes()), (0, 0));
    }

    #[test]
    fn jobs_beyond_their_number_take_no_room() {
        let (queue, mut jobs) = Queue::new(100);
        (0..MAX_JOBS).for_each(|_| queue.push(release()).expect("room"));
        assert!(queue.push(write(10)).is_err());
        assert_eq!((queue.jobs(), queue.bytes()), (MAX_JOBS as u64, 0));
        drop(jobs.try_recv().unwrap());
        queue.push(write(10)).expect("the place that came back");
    }

    #[test]
    fn bodies_that_come_at_the_same_time_do_not_share_the_last_room() {
        for _ in 0..100 {
            let (queue, _jobs) = Queue::new(100);
            let start = Barrier::new(4);
            let taken = std::thread::scope(|scope| {
                let push = || {
                    let job = write(60);
                    start.wait();
                    queue.push(job).is_ok()
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(push)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).filter(|taken| *taken).count()
            });
            assert_eq!((taken, queue.bytes()), (1, 60));
        }
    }

    #[tokio::test]
    async fn it_is_idle_once_all_that_was_taken_is_over() {
        let (queue, mut jobs) = Queue::new(100);
        queue.idle().await;
        queue.push(write(10)).expect("room");
        let under_way = jobs.recv().await;
        let mut idle = std::pin::pin!(queue.idle());
        tokio::select! {
            biased;
            () = idle.as_mut() => panic!("one is under way"),
            () = std::future::ready(()) => {}
        }
        drop(under_way);
        idle.await;
    }
}
