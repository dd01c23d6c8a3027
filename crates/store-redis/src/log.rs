//! The log of invalidations: a stream with a counter, which every replica reads to its end and then follows.
//!
//! Numbers grow by one. Wherever they do not (the stream was trimmed, Redis was emptied, a failover lost its last entries), something may
//! be missing, and the ledger starts over: what it cannot vouch for is dropped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use larder_store::{Answer, AppliedBy, Invalidation, InvalidationLog, Ledger, Position, Published, RemoteError};
use tokio::sync::watch;
use tracing::warn;

use crate::health::Health;
use crate::inspect::Inspection;
use crate::journal::{Journal, Told, encode};
use crate::link::{Lane, Link};
use crate::replicas::Replicas;
use crate::scripts;
use crate::stats::Operation;

/// Entries that the stream keeps, about. A replica that was away for longer, and entries that were stored before, start over.
const KEPT: u32 = 100_000;

/// The log as this replica knows it.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) link: Arc<Link>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) journal: Journal,
    pub(crate) replicas: Replicas,
    /// The number of the entry applied last. 0: none was read yet.
    applied: watch::Sender<u64>,
    /// What this replica has put in last.
    last: Told,
    /// The largest number under which the log has something of this replica's own.
    told: AtomicU64,
    /// When it was last seen to have nothing new.
    current: Mutex<Option<Instant>>,
    started: Instant,
    health: Health,
    inspected: Mutex<Inspection>,
}

impl Log {
    pub(crate) fn new(link: Arc<Link>, ledger: Arc<Ledger>, journal: Journal) -> Self {
        let started = (link.options().monotonic)();
        let health = Health::new(format!("Redis at {}: the log of invalidations cannot be read", link.options().servers));
        let replicas = Replicas::new(&link.options().prefix);
        let (applied, current) = (watch::Sender::new(0), Mutex::default());
        let (told, inspected) = (AtomicU64::new(0), Mutex::default());
        Self { link, ledger, journal, last: Told::default(), replicas, applied, told, current, started, health, inspected }
    }

    /// The names of the counter, of the stream, and of the mark that the server which wrote last has left.
    pub(crate) fn keys(&self) -> [String; 3] {
        let prefix = &self.link.options().prefix;
        ["n", "s", "e"].map(|last| format!("{prefix}:{{log}}:{last}"))
    }

    pub(crate) fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Applies the next entry.
    pub(crate) fn apply(&self, number: u64, invalidation: &Invalidation) {
        if number > self.applied() + 1 {
            self.start_over_at(number - 1);
        }
        self.ledger.apply_logged(number, invalidation);
        self.applied.send_replace(number);
    }

    /// Goes on from `number`, whatever came before. What this replica had told may be among what is missing.
    pub(crate) fn start_over_at(&self, number: u64) {
        self.last.take().into_iter().for_each(|invalidation| _ = self.journal.keep(invalidation));
        self.ledger.start_over_at(number);
        self.applied.send_replace(number);
    }

    /// There is nothing new in it now.
    pub(crate) fn set_current(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.link.options().monotonic)());
        self.ledger.connected();
        self.health.is_well();
    }

    /// It cannot be read now. After a while nobody can vouch for what is in memory.
    pub(crate) fn missed(&self, problem: String) {
        let options = self.link.options();
        self.health.ails(problem, (options.monotonic)());
        let away = self.lag().unwrap_or_else(|| (options.monotonic)().saturating_duration_since(self.started));
        if options.validate_when_cut_off && away > options.max_lag {
            self.ledger.cut_off(options.max_lag);
        }
    }

    /// What the servers were found to be. A concern is told once for as long as it lasts.
    pub(crate) fn set_inspected(&self, new: Inspection) {
        let mut inspected = self.inspected.lock().unwrap_or_else(PoisonError::into_inner);
        for concern in new.concerns.iter().filter(|concern| !inspected.concerns.contains(concern)) {
            warn!("Redis at {}: {concern}", self.link.options().servers);
        }
        *inspected = new;
    }

    pub(crate) fn inspected(&self) -> Inspection {
        self.inspected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why it cannot be read, for people.
    pub(crate) fn problem(&self) -> Option<String> {
        self.health.problem()
    }

    /// How long ago there was nothing new in it; `None` before it was first read to its end.
    pub(crate) fn lag(&self) -> Option<Duration> {
        let current = *self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.map(|current| (self.link.options().monotonic)().saturating_duration_since(current))
    }

    /// Whether what others have stored can be told from what was invalidated since.
    pub(crate) fn vouches(&self) -> bool {
        self.lag().is_some_and(|lag| lag <= self.link.options().max_lag)
    }

    /// Puts an invalidation in, and says under which number.
    pub(crate) async fn put(&self, invalidation: &Invalidation) -> Result<u64, RemoteError> {
        let [counter, stream, server] = self.keys();
        let call = scripts::PUBLISH.call().key(counter).key(stream).key(server);
        let call = call.arg(self.applied()).arg(KEPT).arg(encode(invalidation));
        let call = &call;
        let work = |mut connection| async move { call.invoke::<u64>(&mut connection).await };
        let number = self.link.run(Operation::Publish, Lane::Small, work).await?;
        self.told.fetch_max(number, Ordering::Release);
        self.last.add(invalidation.clone());
        Ok(number)
    }

    /// Whether a response that others have stored at `position` can be compared with everything that this replica knows to be old: what it
    /// has invalidated itself has a place in the log, and the log has been read up to there and up to the response. Without that, a
    /// response from before such an invalidation could pass for one from after it. Waits for it a little.
    pub(crate) async fn reaches(&self, position: Position) -> bool {
        // In this order: an invalidation leaves the journal after its number is known.
        if self.journal.len() > 0 {
            return false;
        }
        let needed = position.log_number().max(self.told.load(Ordering::Acquire));
        if self.applied() < needed {
            self.follow(needed).await;
        }
        self.applied() >= needed
    }

    /// Waits, as long as an operation may take, until this replica has read what it put in itself: from then on its own positions are
    /// past it, and what it fetches next is good.
    async fn follow(&self, number: u64) {
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|applied| *applied >= number);
        // Too late is no harm: the ledger has the invalidation already.
        let _ = tokio::time::timeout(self.link.options().timeout, reached).await;
    }
}

impl InvalidationLog for Log {
    fn publish(&self, invalidation: Invalidation) -> Answer<'_, Published> {
        Box::pin(async move {
            // In their order: none goes ahead of those that wait.
            let put = match self.journal.len() {
                0 => self.put(&invalidation).await.ok(),
                _ => None,
            };
            match put {
                Some(number) => {
                    self.follow(number).await;
                    Published::Logged(number)
                }
                None if self.journal.keep(invalidation) => Published::Kept,
                None => Published::Unwritten,
            }
        })
    }

    fn applied_by(&self, number: u64) -> Answer<'_, Option<AppliedBy>> {
        Box::pin(self.replicas.applied_by(&self.link, number))
    }
}
