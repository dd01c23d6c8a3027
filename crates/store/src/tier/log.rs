//! The log of invalidations: one that replicas share, or one beside a tier that outlives the process.

use std::fmt;

use super::operation::StoreFuture;
use crate::ledger::Invalidation;

/// The log of invalidations. Entries of other replicas arrive in this process's [`Ledger`](crate::Ledger) by themselves.
pub trait InvalidationLog: Send + Sync + fmt::Debug {
    /// Publishes an invalidation to the other replicas. Ready when the log has it and, unless that takes too long, this process's ledger too;
    /// or after a short while when the log cannot be reached: then it is kept, and published later.
    fn publish(&self, invalidation: Invalidation) -> StoreFuture<'_, Published>;

    /// As [`Self::publish`], of messages that every replica has received at the same time: one of them puts it in. `messages` identify it, and
    /// are the same on each. Ready when the log has it, or this process has done what it can.
    fn publish_once(&self, invalidation: Invalidation, messages: Vec<u64>) -> StoreFuture<'_, Published> {
        // Publishing it several times is harmless.
        let _ = messages;
        self.publish(invalidation)
    }

    /// Ready once this process's ledger has everything that it has published, that of [`Published::Kept`] too; `None` where it has it already.
    /// An entry makes old what was fetched here between its invalidation and the moment at which it is read back.
    fn read_back(&self) -> Option<StoreFuture<'_, ()>> {
        None
    }

    /// Whether other replicas follow it. Where none does, an invalidation that was applied here holds everywhere.
    fn is_shared(&self) -> bool {
        true
    }

    /// Whether what is [`Published::Kept`] outlives this process, and comes into the log before its successor calls
    /// [`Ledger::enter`](crate::Ledger::enter).
    fn outlives_process(&self) -> bool {
        false
    }

    /// Which replicas live, and how many of them have applied the entry of this number. `None` where the log cannot say now.
    fn applied_by(&self, number: u64) -> StoreFuture<'_, Option<AppliedBy>>;
}

/// Where an invalidation is after [`InvalidationLog::publish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The log has it under this number, or under an earlier one where another replica has published it.
    Logged(u64),
    /// It will be published when the log can be reached again.
    Kept,
    /// As [`Self::Kept`], unless this process ends before: the journal that should outlive it cannot be written.
    Unwritten,
}

/// How far replicas have followed the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppliedBy {
    /// Replicas that have applied an entry.
    pub applied: usize,
    /// Replicas that live, this one included, and those that may or may not live.
    pub replicas: usize,
    /// Of those that have not applied it, the ones that have not reported for a while: stopped, cut off or gone. They may serve what
    /// they have for as long as they may be without the log.
    pub unknown: usize,
}

impl AppliedBy {
    /// Whether no replica serves what the entry invalidated.
    pub fn is_everyone(self) -> bool {
        self.applied > 0 && self.applied >= self.replicas
    }
}
