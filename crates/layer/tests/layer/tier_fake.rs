//! A tier behind the memory that is scripted in memory. It outlives the caches before it, as a disk does.

use std::collections::HashMap;
use std::collections::vec_deque::{IntoIter, VecDeque};
use std::fmt;
use std::future::{pending, ready};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use larder_semantics::PrimaryKey;
use larder_store::codec::{Record, ResponseRecord, decode, encode};
use larder_store::{
    Arriving, Chunks, HeldLease, Lease, LeaseEnd, Ledger, LoadRequest, Loaded, LogPosition, Offered, RemoteError, RemoteStore, SEGMENT,
    StoreFuture, StoredResponse, Write,
};
use tokio::sync::Semaphore;

/// The calls of all tiers of a test, in their order.
pub(crate) type Calls = Arc<Mutex<Vec<String>>>;

/// How it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Health {
    #[default]
    Works,
    Fails,
    Hangs,
}

pub(crate) struct FakeTier {
    name: &'static str,
    pub(crate) is_shared: bool,
    pub(crate) deadline: Option<Duration>,
    /// Whether it keeps what a farther tier had.
    pub(crate) admits: bool,
    /// One permit for each promotion that may be finished; `None`: all of them.
    pub(crate) promotions: Option<Semaphore>,
    calls: Calls,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    health: Health,
    entries: HashMap<String, Entry>,
    /// The ledger of the process that has it open, where it outlives processes.
    ledger: Option<Arc<Ledger>>,
    ended: Arc<Mutex<Vec<Option<LeaseEnd>>>>,
}

struct Entry {
    frame: Bytes,
    segments: Vec<Bytes>,
    fetch: u64,
    log_position: Option<LogPosition>,
}

/// The end of a lease, for the test: `None` for one that ended with what was written.
struct Noted(Arc<Mutex<Vec<Option<LeaseEnd>>>>);

impl HeldLease for Noted {
    fn end(self: Box<Self>, ending: LeaseEnd) {
        self.0.lock().unwrap().push(Some(ending));
    }

    fn arriving(&self, _: Option<Box<dyn Offered>>) {}
}

struct Ready(IntoIter<Bytes>);

impl Chunks for Ready {
    fn next(&mut self) -> StoreFuture<'_, Option<Result<Bytes, RemoteError>>> {
        Box::pin(ready(self.0.next().map(Ok)))
    }

    fn ahead(&self) -> u64 {
        0
    }
}

impl fmt::Debug for FakeTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeTier").field("name", &self.name).finish_non_exhaustive()
    }
}

impl FakeTier {
    /// A local one.
    pub(crate) fn new(name: &'static str, calls: &Calls) -> Self {
        let (calls, state) = (Arc::clone(calls), Mutex::default());
        Self { name, is_shared: false, deadline: None, admits: true, promotions: None, calls, state }
    }

    /// One that replicas share, and that grants a lease where it has nothing.
    pub(crate) fn shared(name: &'static str, calls: &Calls) -> Self {
        Self { is_shared: true, ..Self::new(name, calls) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn note(&self, call: &str) {
        self.calls.lock().unwrap().push(format!("{} {call}", self.name));
    }

    pub(crate) fn set(&self, health: Health) {
        self.state().health = health;
    }

    /// The numbers of the fetches that it has responses of.
    pub(crate) fn fetches(&self) -> Vec<u64> {
        self.state().entries.values().map(|entry| entry.fetch).collect()
    }

    /// How its leases ended.
    pub(crate) fn ended(&self) -> Vec<Option<LeaseEnd>> {
        self.state().ended.lock().unwrap().clone()
    }

    /// A process begins to use it, and every earlier one has ended: what it has stays, as on a disk.
    pub(crate) fn open(&self, ledger: &Arc<Ledger>) {
        self.state().ledger = Some(Arc::clone(ledger));
    }

    fn write(&self, Write { response, lease, log_position, .. }: Write) {
        let frame = encode(&response, response.position.shared()).into();
        let entry = Entry { frame, segments: response.body().segments().to_vec(), fetch: response.fetch, log_position };
        let mut state = self.state();
        let key = response.key().text().to_owned();
        if state.entries.get(&key).is_none_or(|known| known.fetch <= entry.fetch) {
            // An entry that a later process could not judge is not worth disk space.
            if state.ledger.is_none() || log_position.is_some() {
                state.entries.insert(key, entry);
            } else {
                state.entries.remove(&key);
            }
        }
        if let Some(lease) = lease {
            state.ended.lock().unwrap().push(None);
            lease.spent();
        }
    }

    fn find(&self, key: &PrimaryKey, newer_than: u64) -> Option<(Box<ResponseRecord>, Vec<Bytes>)> {
        let state = self.state();
        let entry = state.entries.get(key.text()).filter(|entry| entry.fetch > newer_than)?;
        if let Some(ledger) = &state.ledger {
            entry.log_position.and_then(|position| ledger.position_of(position))?;
        }
        match decode(entry.frame.clone(), key, None) {
            Ok(Record::Response(record)) => Some((record, entry.segments.clone())),
            other => panic!("{other:?}"),
        }
    }

    fn answer(&self, ask: &LoadRequest<'_>) -> Loaded {
        match self.find(ask.key, ask.newer_than) {
            Some((record, segments)) if record.body().length > SEGMENT as u64 => {
                Loaded::Arriving(Arriving { record, chunks: Box::new(Ready(VecDeque::from(segments).into_iter())) })
            }
            Some((record, segments)) => Loaded::Response(Arc::new(record.complete(segments).expect("whole"))),
            None => {
                let ended = Arc::clone(&self.state().ended);
                Loaded::Nothing(ask.lease.map(|_| Lease::new(self.name.to_owned(), 1, Noted(ended))))
            }
        }
    }
}

impl RemoteStore for FakeTier {
    fn name(&self) -> &'static str {
        self.name
    }

    fn load<'a>(&'a self, ask: LoadRequest<'a>) -> StoreFuture<'a, Result<Loaded, RemoteError>> {
        assert!(self.is_shared || ask.lease.is_none(), "a local tier has no leases");
        self.note("load");
        let health = self.state().health;
        match health {
            Health::Works => Box::pin(async move { Ok(self.answer(&ask)) }),
            Health::Fails => Box::pin(ready(Err(RemoteError::Open))),
            Health::Hangs => Box::pin(pending()),
        }
    }

    fn commit(&self, write: Write) -> StoreFuture<'_, ()> {
        self.note("commit");
        let health = self.state().health;
        match health {
            Health::Works => self.write(write),
            Health::Fails => {}
            Health::Hangs => return Box::pin(pending()),
        }
        Box::pin(ready(()))
    }

    fn promote(&self, write: Write) -> StoreFuture<'_, ()> {
        self.note("promote");
        Box::pin(async move {
            if let Some(permits) = &self.promotions {
                permits.acquire().await.expect("open").forget();
            }
            if self.admits {
                self.write(write);
            }
        })
    }

    fn freshen(&self, write: Write) -> StoreFuture<'_, ()> {
        self.note("freshen");
        self.write(write);
        Box::pin(ready(()))
    }

    fn repacked(&self, before: &Arc<StoredResponse>, now: &Arc<StoredResponse>) {
        assert!(!before.is_packed() && now.is_packed());
        self.note("repacked");
    }

    fn remove(&self, response: &StoredResponse) {
        self.note("remove");
        let key = response.key().text().to_owned();
        let mut state = self.state();
        if state.entries.get(&key).is_some_and(|entry| entry.fetch <= response.fetch) {
            state.entries.remove(&key);
        }
    }

    fn outdate(&self, response: &StoredResponse) {
        self.note("outdate");
        let key = response.key().text().to_owned();
        let mut state = self.state();
        if state.entries.get(&key).is_some_and(|entry| entry.fetch < response.fetch) {
            state.entries.remove(&key);
        }
    }

    fn forget_after_restart(&self, up_to: Option<LogPosition>) -> StoreFuture<'_, ()> {
        self.note("forget");
        self.state().entries.retain(|_, entry| match (entry.log_position, up_to) {
            (Some(position), Some(up_to)) => position.epoch != up_to.epoch || position.number > up_to.number,
            (Some(_), None) => false,
            (None, _) => true,
        });
        Box::pin(ready(()))
    }

    fn takes(&self, length: u64) -> bool {
        length <= 4 * SEGMENT as u64
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }

    fn deadline(&self) -> Option<Duration> {
        self.deadline
    }
}
