//! The tier: look-ups with a deadline and a breaker, and a thread that writes.
//!
//! 1. `store` is the tier as its users see it;
//! 2. `load` looks up, `chunks` reads a long body, `spool` writes one while it arrives; `form` compresses and seals;
//! 3. `queue` bounds the writes that wait, `admission` and `rate` say which are done, `removals` are those that must be, `early` those from before the
//!    directory is this process's;
//! 4. `worker` opens the directory, and does them; `handed_over` is what it takes from the process before, and leaves to the next one.

mod admission;
mod chunks;
mod early;
mod form;
mod handed_over;
mod load;
mod queue;
mod rate;
mod removals;
mod spool;
mod store;
#[cfg(test)]
mod tests;
mod worker;

use std::hash::Hasher;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use larder_disk_options::DiskOptions;
use larder_semantics::PrimaryKey;
use larder_store::{Breaker, Ledger, LogPosition, RemoteError, Variant};
use tokio::sync::{Semaphore, watch};
use tracing::{info, warn};
use xxhash_rust::xxh3::Xxh3;

use crate::clocks::Clocks;
use crate::engine::Engine;
use crate::log::{LocalLog, PURGE_TIMEOUT};
use crate::observer::Observing;
use crate::set::round::Round;
use admission::Admitting;
use early::EarlyRemovals;
use queue::Queue;
use rate::Rate;
use removals::Removals;
use spool::MAX_SPOOLS;
pub use store::DiskStore;
pub(crate) use store::{Ending, GivenUp};

/// Reads at the same time. A disk that hangs keeps so many threads, and no more.
const MAX_READS: usize = 16;

/// The same of writes that are not done by the tier's own thread.
const MAX_WRITES: usize = 4;

/// The state that everything here shares.
#[derive(Debug)]
struct Tier {
    options: DiskOptions,
    clocks: Clocks,
    ledger: Arc<Ledger>,
    /// The log of invalidations, where no other keeps it.
    log: Option<Arc<LocalLog>>,
    /// Whether its files are in this directory.
    has_log: AtomicBool,
    /// Which of several directories it is.
    place: Option<(Arc<Round>, usize)>,
    /// While the directory is this process's.
    engine: RwLock<Option<Arc<Engine>>>,
    /// What keys are hashed with there, once that is known.
    seed: Mutex<Option<u64>>,
    reading: Breaker,
    writing: Breaker,
    reads: Arc<Semaphore>,
    queue: Arc<Queue>,
    /// Writes at the same time, besides those of the queue.
    writes: Arc<Semaphore>,
    /// One permit for each body that may be written while it arrives.
    spools: Arc<Semaphore>,
    rate: Mutex<Option<Rate>>,
    admitting: Admitting,
    removals: Removals,
    early: EarlyRemovals,
    counters: Counters,
    observing: Observing,
    /// Why it does not work now.
    problem: Mutex<Option<String>>,
    /// The file by which this process tells a later one to forget everything, while it does not have the directory.
    mark: String,
    /// It is still there, although the directory is this process's: the log, in another one, is not open yet.
    keeps_mark: AtomicBool,
    /// A later process must not use anything, and the disk has not taken that yet.
    must_forget: AtomicBool,
    /// Whether everything that an earlier process left is known.
    ready: watch::Sender<bool>,
    /// Whether the tier's own thread has ended.
    ended: watch::Sender<bool>,
}

/// Counts since the start.
#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    locked: AtomicU64,
    failures: AtomicU64,
    interrupted: AtomicU64,
    written: AtomicU64,
    dropped: AtomicU64,
    held_back: AtomicU64,
}

fn count(cell: &AtomicU64) {
    cell.fetch_add(1, Ordering::Relaxed);
}

impl Tier {
    fn new(options: DiskOptions, clocks: Clocks, ledger: Arc<Ledger>, log: Option<Arc<LocalLog>>) -> Self {
        let breaker = || Breaker::new(options.breaker_failures, options.breaker_open);
        Self {
            clocks,
            log,
            has_log: AtomicBool::new(false),
            place: None,
            ledger,
            engine: RwLock::default(),
            seed: Mutex::default(),
            reading: breaker(),
            writing: breaker(),
            reads: Arc::new(Semaphore::new(MAX_READS)),
            queue: Arc::new(Queue::new(options.write_queue)),
            writes: Arc::new(Semaphore::new(MAX_WRITES)),
            spools: Arc::new(Semaphore::new(MAX_SPOOLS)),
            rate: Mutex::new(options.write_rate.map(|rate| Rate::new(rate, (clocks.monotonic)()))),
            admitting: Admitting::new(options.admission),
            removals: Removals::default(),
            early: EarlyRemovals::default(),
            counters: Counters::default(),
            observing: Observing::default(),
            problem: Mutex::new(None),
            mark: worker::mark_name(),
            keeps_mark: AtomicBool::new(false),
            must_forget: AtomicBool::new(false),
            ready: watch::Sender::new(false),
            ended: watch::Sender::new(false),
            options,
        }
    }

    /// `None`: the directory is not this process's, not yet or not any more.
    fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The directory is this process's, or with `None` another one's as soon as nobody reads here any more.
    fn set_engine(&self, engine: Option<Arc<Engine>>) {
        if let Some(engine) = &engine {
            *self.seed.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine.seed());
        }
        *self.engine.write().unwrap_or_else(PoisonError::into_inner) = engine;
    }

    /// Waits until the tier's own thread has ended, for so long.
    async fn has_ended(&self, time_limit: Duration) -> bool {
        let mut ended = self.ended.subscribe();
        tokio::time::timeout(time_limit, ended.wait_for(|ended| *ended)).await.is_ok_and(|ended| ended.is_ok())
    }

    /// No later process may use what is stored up to this position.
    async fn forget(self: &Arc<Self>, up_to: Option<LogPosition>) {
        let tier = Arc::clone(self);
        let forget = move || match tier.engine() {
            Some(engine) => engine.forget(up_to),
            None if tier.queue.is_closed() => handed_over::forget_now(&tier.options.path),
            None => worker::forget_later(&tier.options.path, &tier.mark),
        };
        // A client waits for the answer to its write. A disk that has not taken it by then gets it once it works.
        match tokio::time::timeout(PURGE_TIMEOUT, self.blocking(forget)).await {
            Ok(Some(Ok(()))) => return,
            Ok(Some(Err(error))) => self.failed(&error),
            Ok(None) | Err(_) => {}
        }
        self.must_forget.store(true, Ordering::Relaxed);
    }

    /// Whether something may be written now.
    fn rate_allows(&self, now: Instant) -> bool {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner).as_mut().is_none_or(|rate| rate.allows(now))
    }

    /// So many bytes were written.
    fn rate_spends(&self, bytes: u64) {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().for_each(|rate| rate.spend(bytes));
    }

    /// What the disk did not do. Said once, until it works again.
    fn failed(&self, error: &io::Error) {
        self.say_problem(format!("{}: {error}", self.options.path.display()));
    }

    fn say_problem(&self, text: String) {
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if problem.is_none() {
            warn!("the disk does not work: {text}; going on without it");
        }
        *problem = Some(text);
    }

    fn works(&self) {
        // Asked on each read: usually there is nothing to take back.
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if problem.take().is_some() {
            info!("the disk works again");
        }
    }
}

/// Where an entry is looked for: by its key, and by the selected values where there are any.
fn hash_of(seed: u64, key: &PrimaryKey, variant: Option<&Variant>) -> u64 {
    let mut hasher = Xxh3::with_seed(seed);
    hasher.update(key.text().as_bytes());
    if let Some(variant) = variant {
        for name in variant.spec.names() {
            hasher.update(&[0]);
            hasher.update(name.as_str().as_bytes());
        }
        hasher.update(&[0, 0]);
        hasher.update(variant.secondary.text().as_bytes());
    }
    hasher.finish()
}

/// An error of the disk, as a request sees it.
fn refused(error: &io::Error) -> RemoteError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => RemoteError::Incomplete,
        io::ErrorKind::PermissionDenied | io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem => RemoteError::Refused,
        _ => RemoteError::Connection,
    }
}
