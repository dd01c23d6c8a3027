//! The tier as its users see it.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use larder_disk_options::DiskOptions;
use larder_semantics::PrimaryKey;
use larder_store::{
    InvalidationLog, Ledger, LoadRequest, Loaded, LogPosition, NewRemoteBody, RemoteBodyWriter, RemoteError, RemoteStore, StoreFuture,
    StoredResponse, Variant, Write,
};

use super::queue::WriteTask;
use super::spool::DiskBodyWriter;
use super::worker::{may_be_stored, run};
use super::{Tier, count, hash_of};
use crate::clocks::Clocks;
use crate::log::{LocalLog, Shared};
use crate::observer::{DiskObserver, Observing};
use crate::set::round::Round;
use crate::stats::DiskStats;

/// A directory on disk as the tier behind the memory.
#[derive(Clone, Debug)]
pub struct DiskStore {
    pub(super) tier: Arc<Tier>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// How a directory is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// Requests go on here, and another process has the directory.
    hands_over: bool,
    /// What the log of this directory speaks for in other directories is on their disks.
    others_are_stored: bool,
}

/// What became of the writes of a directory that was given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GivenUp {
    /// How many were not done.
    pub(crate) left: usize,
    /// The others outlive the machine's crash.
    pub(crate) is_stored: bool,
}

impl Ending {
    pub(crate) fn of(hands_over: bool, others_are_stored: bool) -> Self {
        Self { hands_over, others_are_stored }
    }

    fn of_log(self, log: &LocalLog, directory: &Path, is_stored: bool) {
        let is_stored = is_stored && self.others_are_stored;
        if self.hands_over { log.hand_over(directory, is_stored) } else { log.close(is_stored) }
    }
}

impl DiskStore {
    /// Starts the tier. The directory is opened in the background, again and again where it cannot be used or another process has it; until then
    /// nothing is found there. With `keeps_log` it also keeps the log of invalidations, which goes into `ledger`.
    pub fn start(
        options: DiskOptions,
        clocks: Clocks,
        ledger: Arc<Ledger>,
        keeps_log: bool,
        observer: Option<Arc<dyn DiskObserver>>,
    ) -> io::Result<Self> {
        let log = keeps_log.then(|| Arc::new(LocalLog::new(Arc::clone(&ledger))));
        Self::start_in(options, clocks, ledger, log, observer, None)
    }

    /// As [`Self::start`], of the directory of this number of several that have one log.
    pub(crate) fn start_in(
        options: DiskOptions,
        clocks: Clocks,
        ledger: Arc<Ledger>,
        log: Option<Arc<LocalLog>>,
        observer: Option<Arc<dyn DiskObserver>>,
        place: Option<(Arc<Round>, usize)>,
    ) -> io::Result<Self> {
        let tier = Arc::new(Tier { observing: Observing(observer), place, ..Tier::new(options, clocks, ledger, log) });
        let (weak, queue) = (Arc::downgrade(&tier), Arc::clone(&tier.queue));
        let ended = tier.ended.clone();
        let work = move || {
            run(&weak, &queue);
            ended.send_replace(true);
        };
        let thread = std::thread::Builder::new().name("larder-disk".to_owned()).spawn(work)?;
        Ok(Self { tier, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// The log of invalidations, if it keeps one.
    pub fn log(&self) -> Option<Arc<dyn InvalidationLog>> {
        let log = self.tier.log.as_ref()?;
        Some(Arc::new(Shared(Arc::clone(log))))
    }

    /// Waits until everything that an earlier process left can be found, at most so long; `false` if it cannot be by then.
    pub async fn usable(&self, time_limit: Duration) -> bool {
        let mut ready = self.tier.ready.subscribe();
        tokio::time::timeout(time_limit, ready.wait_for(|ready| *ready)).await.is_ok_and(|ready| ready.is_ok())
    }

    /// Writes what waits, for so long at most, and gives the directory up: another process has it as soon as no body from it is read here any more.
    /// Returns how many responses were not written.
    pub async fn close(&self, time_limit: Duration) -> usize {
        self.give_up(time_limit, Ending::of(false, true)).await.left
    }

    /// As [`Self::close`], while requests go on: what they invalidate is left to the process that has the directory then.
    pub async fn hand_over(&self, time_limit: Duration) -> usize {
        self.give_up(time_limit, Ending::of(true, true)).await.left
    }

    /// Whether the log of invalidations is in this directory.
    pub(crate) fn has_log(&self) -> bool {
        self.tier.has_log.load(Ordering::Relaxed)
    }

    /// As [`Self::close`] or [`Self::hand_over`].
    pub(crate) async fn give_up(&self, time_limit: Duration, ending: Ending) -> GivenUp {
        self.tier.write_asked();
        let is_idle = tokio::time::timeout(time_limit, self.tier.queue.idle()).await.is_ok();
        let left = self.tier.queue.clear();
        left.iter().for_each(|job| self.tier.give_up(job));
        self.tier.queue.close();
        // A disk that hangs would hold up the end of the process.
        let is_over = is_idle || self.tier.has_ended(time_limit).await;
        let thread = self.take_thread().filter(|_| is_over);
        let (tier, log) = (Arc::clone(&self.tier), self.tier.log.clone().filter(|_| self.has_log()));
        let finish = move || {
            let _ = thread.map(JoinHandle::join);
            let engine = tier.engine();
            tier.set_engine(None);
            // With what was removed since the thread has ended.
            let is_stored =
                is_over && engine.as_ref().is_none_or(|engine| tier.remove_at_last(engine).and_then(|()| engine.sync()).is_ok());
            // In any case, and before another process can have the directory: the log is that one's then.
            if let Some(log) = log {
                ending.of_log(&log, &tier.options.path, is_stored);
            }
            tier.leave_last_mark();
            is_stored
        };
        let finished = tokio::time::timeout(time_limit, tokio::task::spawn_blocking(finish)).await;
        self.tier.ready.send_replace(false);
        self.tier.set_engine(None);
        GivenUp { left: left.len(), is_stored: matches!(finished, Ok(Ok(true))) }
    }

    pub(super) fn take_thread(&self) -> Option<JoinHandle<()>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.tier.options.path
    }

    /// Bytes of disk that it may take.
    pub(crate) fn capacity(&self) -> u64 {
        self.tier.options.capacity
    }

    /// Why it does not work now, in words for people.
    pub fn problem(&self) -> Option<String> {
        self.tier.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Figures for metrics.
    pub fn stats(&self) -> DiskStats {
        let engine = self.tier.engine();
        let Tier { counters, queue, options, clocks, reading, writing, .. } = &*self.tier;
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let engine_count =
            |cell: fn(&crate::engine::Counters) -> &AtomicU64| engine.as_ref().map_or(0, |engine| read(cell(engine.counters())));
        let (queued, queued_bytes) = queue.waiting();
        let (entries, index_bytes) = engine.as_ref().map_or((0, 0), |engine| engine.indexed());
        let now = (clocks.monotonic)();
        DiskStats {
            hits: read(&counters.hits),
            misses: read(&counters.misses),
            failures: read(&counters.failures),
            damaged: engine_count(|counters| &counters.damaged),
            locked: read(&counters.locked),
            interrupted: read(&counters.interrupted),
            written: read(&counters.written),
            dropped: read(&counters.dropped),
            held_back: read(&counters.held_back),
            evicted: engine_count(|counters| &counters.evicted),
            written_bytes: engine_count(|counters| &counters.written_bytes),
            moved_bytes: engine_count(|counters| &counters.moved_bytes),
            queued,
            queued_bytes,
            entries: entries as u64,
            index_bytes: index_bytes as u64,
            capacity_bytes: options.capacity,
            is_ready: *self.tier.ready.borrow(),
            reading: reading.state(now),
            writing: writing.state(now),
        }
    }

    /// Queues a write if it is admitted. What is not written must not leave an older response to be found in its place.
    fn write(&self, write: Write, task: fn(Write) -> WriteTask, admit: impl FnOnce(Write, u64) -> Option<Write>) {
        let response = Arc::clone(&write.response);
        let (key, variant, earlier) = (response.key(), response.variant(), response.fetch.saturating_sub(1));
        let Some(engine) = self.tier.engine_or_note(&key, variant, earlier) else { return };
        let hash = hash_of(engine.seed(), &key, variant);
        let is_taken = self.takes(response.body_length());
        let admitted = if is_taken { admit(write, hash) } else { None };
        if let Some(write) = admitted {
            return self.tier.push(task(write));
        }
        self.tier.unvary_for(&engine, &response);
        if !is_taken && may_be_stored(&engine, hash) {
            self.tier.push(WriteTask::Remove { hash, fetch: earlier });
        }
    }

    /// Drops what there is here of a key that is another directory's now, up to this fetch: it must not be found once the key is this one's again.
    pub(crate) fn drop_earlier(&self, key: &PrimaryKey, variant: Option<&Variant>, fetch: u64) {
        let Some(engine) = self.tier.engine_or_note(key, variant, fetch) else { return };
        self.tier.unvary(&engine, key, variant, fetch);
        let hash = hash_of(engine.seed(), key, variant);
        if may_be_stored(&engine, hash) {
            self.tier.push(WriteTask::Remove { hash, fetch });
        }
    }
}

impl RemoteStore for DiskStore {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn load<'a>(&'a self, ask: LoadRequest<'a>) -> StoreFuture<'a, Result<Loaded, RemoteError>> {
        Box::pin(async move {
            let loaded = self.tier.load(ask).await;
            let counters = &self.tier.counters;
            match &loaded {
                Ok(Loaded::Response(_) | Loaded::Arriving(_)) => count(&counters.hits),
                Ok(_) | Err(RemoteError::Unvouched) => count(&counters.misses),
                Err(_) => count(&counters.failures),
            }
            loaded
        })
    }

    fn commit(&self, write: Write) -> StoreFuture<'_, ()> {
        // One that a later process could not judge only takes the place of an earlier one.
        let is_judged = write.log_position.is_some();
        self.write(write, WriteTask::Commit, |write, hash| if is_judged { self.tier.admit(write, hash) } else { Some(write) });
        Box::pin(std::future::ready(()))
    }

    fn begin_body(&self, new: NewRemoteBody<'_>) -> Option<Box<dyn RemoteBodyWriter>> {
        DiskBodyWriter::begin(&self.tier, new).map(|writer| Box::new(writer) as _)
    }

    fn freshen(&self, write: Write) -> StoreFuture<'_, ()> {
        // What is stored has been fetched again, or it is of use for the first time.
        self.write(write, WriteTask::Freshen, |write, hash| self.tier.admit(write, hash));
        Box::pin(std::future::ready(()))
    }

    fn remove(&self, response: &StoredResponse) {
        let (key, variant, fetch) = (response.key(), response.variant(), response.fetch);
        match self.tier.engine_or_note(&key, variant, fetch) {
            Some(engine) => self.tier.push(WriteTask::Remove { hash: hash_of(engine.seed(), &key, variant), fetch }),
            None => self.tier.remove_elsewhere(response),
        }
    }

    fn repacked(&self, before: &Arc<StoredResponse>, now: &Arc<StoredResponse>) {
        self.tier.admitting.follow(before, now);
    }

    fn forget_after_restart(&self, up_to: Option<LogPosition>) -> StoreFuture<'_, ()> {
        Box::pin(self.tier.forget(up_to))
    }

    fn takes(&self, length: u64) -> bool {
        length <= self.tier.options.max_object
    }
}
