//! The log of invalidations: a stream with a counter, which every replica reads to its end and then follows.
//!
//! Numbers grow by one. Wherever they do not (the stream was trimmed, Redis was emptied, a failover lost its last entries), something may
//! be missing, and the ledger starts over: what it cannot vouch for is dropped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use larder_semantics::Timestamp;
use larder_store::{Epoch, Invalidation, Ledger, Position};
use tokio::sync::watch;
use tracing::warn;

use super::messages::Messages;
use super::record::Entry;
use super::replicas::Replicas;
use super::server_info::Inspection;
use crate::counter::Counter;
use crate::journal::{Journal, Recent};
use crate::link::{Health, Link};

/// The log as this replica knows it.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) link: Arc<Link>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) journal: Journal,
    pub(crate) replicas: Replicas,
    pub(crate) messages: Messages,
    /// Whether it takes what is put into it.
    pub(crate) writing: Health,
    /// How often it did not.
    pub(crate) refused: Counter,
    /// How often its own keys were damaged.
    pub(crate) damaged: Counter,
    /// The last invalidations that this replica has put in.
    pub(crate) last: Recent,
    /// The number of the last entry of this replica's own that invalidates everything.
    pub(crate) everything: watch::Sender<u64>,
    /// The number of the entry applied last. 0: none was read yet.
    applied: watch::Sender<u64>,
    /// The largest number under which the log has something of this replica's own.
    own_number: AtomicU64,
    /// When it was last seen to have nothing new.
    current: Mutex<Option<Instant>>,
    /// It has been read to its end once.
    read: watch::Sender<bool>,
    started: Instant,
    reading: Health,
    inspected: Mutex<Inspection>,
}

/// An instant by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    monotonic: Instant,
    wall: Option<Timestamp>,
}

impl Log {
    pub(crate) fn new(link: Arc<Link>, ledger: Arc<Ledger>, journal: Journal) -> Self {
        let options = link.options();
        let about = |what: &str| Health::new(format!("Redis at {}: the log of invalidations {what}", options.servers));
        let (reading, writing) = (about("cannot be read"), about("takes no purges"));
        let replicas = Replicas::new(&options.prefix, &options.replica, options.max_lag);
        let (applied, current, inspected, last, messages) =
            (watch::Sender::new(0), Mutex::default(), Mutex::default(), Recent::default(), Messages::default());
        let (own_number, refused, damaged, started) =
            (AtomicU64::new(0), Counter::default(), Counter::default(), (link.clocks().monotonic)());
        let log = Self {
            link,
            ledger,
            journal,
            replicas,
            messages,
            writing,
            refused,
            damaged,
            last,
            everything: watch::Sender::new(0),
            applied,
            own_number,
            current,
            read: watch::Sender::new(false),
            started,
            reading,
            inspected,
        };
        // The invalidations of the other replicas are not known yet.
        log.vouch_from(log.now());
        log
    }

    /// The names of the counter, of the stream, of the mark that the server which wrote last has left, and of the registry of replicas.
    pub(crate) fn keys(&self) -> [String; 4] {
        let prefix = &self.link.options().prefix;
        let [counter, stream, server] = ["n", "s", "e"].map(|last| format!("{prefix}:{{log}}:{last}"));
        [counter, stream, server, self.replicas.key().to_owned()]
    }

    pub(crate) fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    /// To wait for what is applied next.
    pub(crate) fn watch_applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Applies the next entry.
    pub(crate) fn apply(&self, entry: Entry) {
        if entry.number > self.applied() + 1 {
            self.start_over_at(entry.number - 1);
        }
        self.ledger.apply_logged(entry.number, &entry.invalidation);
        self.messages.logged(entry.number, entry.messages.into_iter(), (self.link.clocks().monotonic)());
        self.applied.send_replace(entry.number);
    }

    /// Goes on from `number`, whatever came before. Invalidations of this replica may be among the missing ones.
    pub(crate) fn start_over_at(&self, number: u64) {
        self.last.take().into_iter().for_each(|invalidation| _ = self.journal.keep(invalidation));
        self.ledger.start_over_at(number);
        self.messages.start_over_at(number);
        self.applied.send_replace(number);
    }

    pub(crate) fn now(&self) -> Moment {
        let clocks = self.link.clocks();
        Moment { monotonic: (clocks.monotonic)(), wall: clocks.wall.map(|wall| wall()) }
    }

    /// There was nothing in it at that moment that was not applied since. It is the moment from before the question: a process may stand
    /// still between question and answer.
    pub(crate) fn set_current(&self, at: Moment) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(at.monotonic);
        self.vouch_from(at);
        self.reading.clear_problem();
        self.read.send_if_modified(|read| !std::mem::replace(read, true));
    }

    /// Whether everything of this replica's own is in it, and has been read.
    pub(crate) fn is_read_back(&self) -> bool {
        // In this order: an invalidation leaves the journal after its number is known.
        self.journal.len() == 0 && self.applied() >= self.own_number.load(Ordering::Acquire)
    }

    /// It has been read to its end in this epoch. What an earlier process has left in the journal has to be in it first.
    pub(crate) fn enter(&self, epoch: Option<Epoch>) {
        if self.is_read_back()
            && let Some(epoch) = epoch
        {
            self.ledger.enter(epoch);
        }
    }

    /// Waits until it has been read to its end for the first time.
    pub(crate) async fn read_once(&self) {
        // It cannot be closed while it is borrowed.
        let _ = self.read.subscribe().wait_for(|read| *read).await;
    }

    fn vouch_from(&self, at: Moment) {
        let options = self.link.options();
        match at.wall.filter(|_| options.validate_when_cut_off) {
            Some(wall) => {
                let lag = u64::try_from(options.max_lag.as_millis()).unwrap_or(u64::MAX);
                self.ledger.vouch_until(Timestamp::from_millis(wall.as_millis().saturating_add(lag)), options.max_lag);
            }
            None => self.ledger.connected(),
        }
    }

    /// It cannot be read now. After `max_lag` what is in memory cannot be vouched for.
    pub(crate) fn missed(&self, problem: String) {
        let options = self.link.options();
        let now = (self.link.clocks().monotonic)();
        self.reading.set_problem(problem, now);
        let away = self.lag().unwrap_or_else(|| now.saturating_duration_since(self.started));
        if options.validate_when_cut_off && away > options.max_lag {
            self.ledger.cut_off(options.max_lag);
        }
    }

    /// Something was wrong with its own keys, and it has begun anew.
    pub(crate) fn found_damage(&self, damage: &str) {
        if !damage.is_empty() {
            self.damaged.add();
            let servers = &self.link.options().servers;
            warn!("Redis at {servers}: {damage}; the log of invalidations begins anew, and what is in memory is dropped");
        }
    }

    /// The state of the servers. A concern is logged once for as long as it lasts.
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

    /// Why it cannot be read, or takes nothing, for people.
    pub(crate) fn problem(&self) -> Option<String> {
        let writing = || self.writing.problem().map(|problem| format!("the log of invalidations takes no purges: {problem}"));
        self.reading.problem().or_else(writing)
    }

    /// How long ago there was nothing new in it; `None` before it was first read to its end.
    pub(crate) fn lag(&self) -> Option<Duration> {
        let current = *self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.map(|current| (self.link.clocks().monotonic)().saturating_duration_since(current))
    }

    /// Whether stored responses of other replicas can be compared with what was invalidated since.
    pub(crate) fn vouches(&self) -> bool {
        self.lag().is_some_and(|lag| lag <= self.link.options().max_lag)
    }

    /// The log has something of this replica's own under this number.
    pub(crate) fn has(&self, number: u64, invalidation: &Invalidation) {
        self.own_number.fetch_max(number, Ordering::Release);
        self.last.add(invalidation.clone());
    }

    /// Whether a response that others have stored at `position` can be compared with everything that this replica knows to be old: what it
    /// has invalidated itself has a place in the log, and the log has been read up to there and up to the response. Without that, a
    /// response from before such an invalidation could pass for one from after it. Waits for it a little.
    pub(crate) async fn reaches(&self, position: Position) -> bool {
        // In this order: an invalidation leaves the journal after its number is known.
        if self.journal.len() > 0 {
            return false;
        }
        let needed = position.log_number().max(self.own_number.load(Ordering::Acquire));
        if self.applied() < needed {
            self.follow(needed).await;
        }
        self.applied() >= needed
    }
}
