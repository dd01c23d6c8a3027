//! The state that all operations on entries share.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_semantics::PrimaryKey;
use larder_store::{LeaseEnd, RemoteError, StoredResponse, Variant};
use tokio::sync::Semaphore;

use super::counters::Counters;
use super::heartbeat::Heartbeat;
use super::queue::{MustGo, Queue, Removal, WriteTask};
use super::watch::Watched;
use crate::link::{Link, MAX_CONCURRENT_CHUNKS};
use crate::log::Log;
use crate::value::{EntryKey, Names};

/// The link, the log, the queue of writes, and the numbers that are counted on.
#[derive(Debug)]
pub(crate) struct Tier {
    pub(crate) link: Arc<Link>,
    pub(crate) queue: Queue,
    pub(crate) log: Arc<Log>,
    pub(crate) counters: Counters,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) watched: Watched,
    pub(crate) chunk_permits: Semaphore,
    pub(crate) names: Names,
    tokens: AtomicU64,
    /// Makes this process's tokens differ from those of other replicas.
    seed: RandomState,
}

impl Tier {
    pub(crate) fn new(link: Arc<Link>, queue: Queue, log: Arc<Log>) -> Self {
        let (counters, chunk_permits, seed) = (Counters::default(), Semaphore::new(MAX_CONCURRENT_CHUNKS), RandomState::new());
        let (heartbeat, watched) = (Heartbeat::new(seed.hash_one("replica")), Watched::new(link.options().timeout));
        let (names, tokens) = (Names::default(), AtomicU64::new(0));
        Self { link, queue, log, counters, heartbeat, watched, chunk_permits, names, tokens, seed }
    }

    /// Where a response is in Redis.
    pub(crate) fn key_of(&self, response: &StoredResponse) -> EntryKey {
        self.entry_key(&response.key(), response.variant())
    }

    /// Where what has this key, and of its variants this one, is in Redis.
    pub(crate) fn entry_key(&self, key: &PrimaryKey, variant: Option<&Variant>) -> EntryKey {
        let primary = EntryKey::primary(&self.link.options().prefix, self.names.name(key).as_deref(), key);
        match variant {
            Some(variant) => primary.variant(variant),
            None => primary,
        }
    }

    pub(crate) fn next_token(&self) -> u64 {
        self.seed.hash_one(self.tokens.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn release(&self, key: String, token: u64, ending: LeaseEnd) {
        self.push(WriteTask::Release { key, token, ending });
    }

    /// Drops an entry that is of no use.
    pub(crate) fn delete(&self, entry: EntryKey, fetch: u64) {
        self.push(WriteTask::Remove { entry, fetch, why: Removal::Useless });
    }

    /// Drops a response that its origin does not stand for any more.
    pub(crate) fn remove(&self, response: &StoredResponse) {
        let must_go = MustGo { url: response.key().url().to_owned() };
        self.push(WriteTask::Remove { entry: self.key_of(response), fetch: response.fetch, why: Removal::Disowned(must_go) });
    }

    /// A response is not written: an earlier one must not be found in its place.
    pub(crate) fn outdate(&self, response: &StoredResponse) {
        let fetch = response.fetch.saturating_sub(1);
        self.push(WriteTask::Remove { entry: self.key_of(response), fetch, why: Removal::Outdated });
        if response.variant().is_some() {
            self.push(WriteTask::Remove { entry: self.entry_key(&response.key(), None), fetch, why: Removal::Unvaried });
        }
    }

    /// Counts an entry that no key opens, and drops it.
    pub(crate) fn locked(&self, entry: &EntryKey) -> RemoteError {
        self.counters.locked.add();
        self.delete(entry.clone(), u64::MAX);
        RemoteError::Damaged
    }

    /// Counts an entry that does not decode, and drops it, so that no replica reads it twice.
    pub(crate) fn damaged(&self, entry: &EntryKey) -> RemoteError {
        self.counters.damaged.add();
        self.delete(entry.clone(), u64::MAX);
        RemoteError::Damaged
    }

    pub(crate) fn push(&self, job: WriteTask) {
        if let Err(job) = self.queue.push(job) {
            self.counters.dropped.add();
            job.response().into_iter().for_each(|response| self.outdate(&response));
            job.give_up(&self.log);
        }
    }
}
