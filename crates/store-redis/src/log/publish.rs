//! Putting invalidations into the log.

use std::sync::{Mutex, PoisonError};

use larder_store::{Answer, AppliedBy, Invalidation, InvalidationLog, Published, RemoteError};

use super::messages::{LONGEST, TURN};
use super::state::Log;
use crate::journal::{encode, within};
use crate::link::{Lane, Operation, in_words};
use crate::scripts;

/// Entries that the stream keeps, about. A replica that was away for longer, and entries that were stored before, start over.
const KEPT: u32 = 100_000;

/// Bytes of entries that the stream keeps, about: a small part of the memory that Redis has, and read in a moment.
const KEPT_BYTES: u64 = 8 << 20;

/// Bytes of one entry. A longer one becomes coarser.
const ENTRY_BYTES: usize = 64 << 10;

impl Log {
    /// Puts an invalidation in, with the messages that it stands for, and says under which number.
    pub(crate) async fn put(&self, invalidation: &Invalidation, messages: &[u64]) -> Result<u64, RemoteError> {
        let bounded = within(invalidation.clone(), ENTRY_BYTES);
        let marks: Vec<u8> = messages.iter().flat_map(|mark| mark.to_le_bytes()).collect();
        let call = self.keys().into_iter().fold(scripts::PUBLISH.call(), |call, key| call.key(key));
        let call = call.arg(self.applied()).arg(encode(&bounded)).arg(marks).arg(KEPT).arg(KEPT_BYTES);
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
                self.writing.is_well();
                self.has(number, &bounded);
                Ok(number)
            }
            Err(error) => {
                self.refused.add();
                // That it does not answer at all is told elsewhere.
                if error == RemoteError::Refused {
                    let why = refusal.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    self.writing.ails(why, (self.link.clocks().monotonic)());
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
    pub(crate) async fn tell(&self) -> bool {
        let (invalidation, told) = self.journal.batch(ENTRY_BYTES);
        if told.is_empty() || self.put(&invalidation, &[]).await.is_err() {
            return false;
        }
        told.iter().for_each(|invalidation| self.journal.done(invalidation));
        true
    }

    /// This replica stops.
    pub(crate) async fn leave(&self) {
        let work = |mut connection| async move { self.replicas.leave(&mut connection).await };
        // Where it cannot be said, it is forgotten after a while.
        let _ = self.link.run(Operation::Publish, Lane::Small, work).await;
    }

    async fn publish_marked(&self, invalidation: Invalidation, messages: &[u64]) -> Published {
        // In their order: none goes ahead of those that wait.
        let put = match self.journal.len() {
            0 => self.put(&invalidation, messages).await.ok(),
            _ => None,
        };
        match put {
            Some(number) => {
                self.follow(number).await;
                Published::Logged(number)
            }
            None => {
                self.heard.forget(messages);
                if self.journal.keep(invalidation) { Published::Kept } else { Published::Unwritten }
            }
        }
    }
}

impl InvalidationLog for Log {
    fn publish(&self, invalidation: Invalidation) -> Answer<'_, Published> {
        Box::pin(async move { self.publish_marked(invalidation, &[]).await })
    }

    fn publish_once(&self, invalidation: Invalidation, messages: Vec<u64>) -> Answer<'_, ()> {
        Box::pin(async move {
            self.heard.hear(&messages);
            let patience = (TURN * self.replicas.rank()).min(LONGEST);
            let missing = self.heard.missing(&messages, patience).await;
            if !missing.is_empty() {
                self.publish_marked(invalidation, &missing).await;
            }
        })
    }

    fn applied_by(&self, number: u64) -> Answer<'_, Option<AppliedBy>> {
        Box::pin(self.replicas.applied_by(&self.link, number, self.applied()))
    }
}
