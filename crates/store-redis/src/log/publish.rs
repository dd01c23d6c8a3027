//! Putting invalidations into the log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use larder_store::{AppliedBy, Invalidation, InvalidationLog, InvalidationTarget, Published, RemoteError, StoreFuture};
use tracing::warn;

use super::messages::{MAX_DELAY, RANK_DELAY, Unlogged};
use super::state::Log;
use crate::journal::{encode, within};
use crate::link::{Lane, Operation, in_words};
use crate::scripts;

/// Entries that the stream keeps, about. A replica that was away for longer, and entries that were stored before, start over.
const MAX_STREAM_ENTRIES: u32 = 100_000;

/// Bytes of entries that the stream keeps, about: a small part of the memory that Redis has, and read in a moment.
const MAX_STREAM_BYTES: u64 = 8 << 20;

/// Bytes of one entry. A longer one becomes coarser.
const MAX_ENTRY_BYTES: usize = 64 << 10;

/// Between two attempts to put in what is left when this replica stops.
const PAUSE: Duration = Duration::from_millis(50);

impl Log {
    /// Puts an invalidation in, with the messages that it stands for, and says under which number. Where others have put in all of these
    /// meanwhile, nothing is added, and theirs is the number.
    pub(crate) async fn put(&self, invalidation: &Invalidation, messages: &Unlogged) -> Result<u64, RemoteError> {
        let bounded = within(invalidation.clone(), MAX_ENTRY_BYTES);
        if bounded != *invalidation {
            let (many, few) = (invalidation.targets.len(), bounded.targets.len());
            warn!("an invalidation of {many} targets is too long for an entry of the log: {few} that cover them are in it");
        }
        let bytes = |marks: &[u64]| -> Vec<u8> { marks.iter().flat_map(|mark| mark.to_le_bytes()).collect() };
        let call = self.keys().into_iter().fold(scripts::PUBLISH.call(), |call, key| call.key(key));
        let call = call.arg(self.applied()).arg(encode(&bounded)).arg(bytes(&messages.marks)).arg(MAX_STREAM_ENTRIES).arg(MAX_STREAM_BYTES);
        let call = call.arg(bytes(&messages.expected)).arg(messages.after);
        let (call, refusal) = (&call, &Mutex::new(String::new()));
        let work = |mut connection| async move {
            let answer = call.invoke::<(u64, String)>(&mut connection).await;
            if let Err(error) = &answer {
                *refusal.lock().unwrap_or_else(PoisonError::into_inner) = in_words(error);
            }
            answer
        };
        match self.link.run(Operation::Publish, Lane::Small, work).await {
            Ok((number, damage)) => {
                self.found_damage(&damage);
                self.writing.clear_problem();
                self.has(number, &bounded);
                if !bounded.soft && bounded.targets.contains(&InvalidationTarget::All) {
                    self.everything.send_replace(number);
                }
                Ok(number)
            }
            Err(error) => {
                self.refused.add();
                // The link logs that Redis does not answer at all.
                if error == RemoteError::Refused {
                    let why = refusal.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    self.writing.set_problem(why, (self.link.clocks().monotonic)());
                }
                Err(error)
            }
        }
    }

    /// Waits, as long as an operation may take, until this replica has read what it put in itself: from then on its own positions are
    /// past it, and what it fetches next is good.
    pub(crate) async fn follow(&self, number: u64) {
        let mut applied = self.watch_applied();
        let reached = applied.wait_for(|applied| *applied >= number);
        // Too late is no harm: the ledger has the invalidation already.
        let _ = tokio::time::timeout(self.link.options().timeout, reached).await;
    }

    /// Puts in what the log does not have yet, as much as goes into one entry; `false` if that could not be done, or there is nothing.
    pub(crate) async fn publish_waiting(&self) -> bool {
        let (invalidation, batched) = self.journal.batch(MAX_ENTRY_BYTES);
        if batched.is_empty() || self.put(&invalidation, &Unlogged::default()).await.is_err() {
            return false;
        }
        batched.into_iter().for_each(|number| self.journal.done(number));
        true
    }

    /// Puts in all that the log does not have yet, for as long as it takes; returns how many could not be put in.
    pub(crate) async fn publish_rest(&self, time_limit: Duration) -> usize {
        let all = async {
            while self.journal.len() > 0 {
                if !self.publish_waiting().await {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        let _ = tokio::time::timeout(time_limit, all).await;
        self.journal.len()
    }

    /// This replica stops.
    pub(crate) async fn leave(&self) {
        let work = |mut connection| async move { self.replicas.leave(&mut connection).await };
        // Where it cannot be said, it is forgotten after a while.
        let _ = self.link.run(Operation::Publish, Lane::Small, work).await;
    }

    async fn publish_marked(&self, invalidation: Invalidation, messages: &Unlogged) -> Published {
        // In their order: none goes ahead of those that wait.
        let put = match self.journal.len() {
            0 => self.put(&invalidation, messages).await.ok(),
            _ => None,
        };
        match put {
            Some(number) => {
                self.messages.published(&messages.marks, number);
                self.follow(number).await;
                Published::Logged(number)
            }
            None => {
                self.messages.give_up(&messages.marks, (self.link.clocks().monotonic)());
                if self.journal.keep(invalidation) { Published::Kept } else { Published::Unwritten }
            }
        }
    }
}

impl InvalidationLog for Log {
    fn publish(&self, invalidation: Invalidation) -> StoreFuture<'_, Published> {
        Box::pin(async move { self.publish_marked(invalidation, &Unlogged::default()).await })
    }

    fn publish_once(&self, invalidation: Invalidation, messages: Vec<u64>) -> StoreFuture<'_, Published> {
        Box::pin(async move {
            self.messages.receive(&messages, (self.link.clocks().monotonic)());
            let delay = (RANK_DELAY * self.replicas.rank()).min(MAX_DELAY);
            let unlogged = self.messages.not_logged(&messages, delay).await;
            if unlogged.marks.is_empty() { Published::Logged(unlogged.after) } else { self.publish_marked(invalidation, &unlogged).await }
        })
    }

    fn read_back(&self) -> Option<StoreFuture<'_, ()>> {
        let mut applied = self.watch_applied();
        if self.is_read_back() {
            return None;
        }
        Some(Box::pin(async move {
            // An entry is read after what it is of has left the journal, so there is always one more to come until all is read.
            while !self.is_read_back() && applied.changed().await.is_ok() {}
        }))
    }

    fn outlives_process(&self) -> bool {
        self.link.options().journal.is_some()
    }

    fn applied_by(&self, number: u64) -> StoreFuture<'_, Option<AppliedBy>> {
        Box::pin(self.replicas.applied_by(&self.link, number, self.applied()))
    }
}
