//! What a tier behind the memory has to do, whether it is Redis or a disk.
//!
//! Nothing here may harm a request: every error is a miss to whoever asks, and a write that fails is one response stored less.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use larder_semantics::{PrimaryKey, VarySpec};

use crate::codec::ResponseRecord;
use crate::ledger::{Invalidation, Position};
use crate::response::StoredResponse;

/// A boxed future: what keeps [`RemoteStore`] object-safe.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why the tier did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RemoteError {
    /// It has failed too often and is left alone for a while.
    #[error("the store is being left alone after failures")]
    Open,
    /// It took longer than it may.
    #[error("the store did not answer in time")]
    Timeout,
    /// The connection failed, or something else than the store is at its other end.
    #[error("the connection to the store failed")]
    Connection,
    /// The store refused: no memory, no permission, read-only.
    #[error("the store refused")]
    Refused,
    /// It works, but what was invalidated meanwhile is not known yet, and so not what of it is still good.
    #[error("the log of invalidations has not been read")]
    Unvouched,
    /// What it holds does not decode.
    #[error("what the store holds is damaged")]
    Damaged,
    /// A part of what it holds is gone: evicted, or replaced by something newer.
    #[error("what the store holds is incomplete")]
    Incomplete,
}

/// A look-up.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The primary key.
    pub key: &'a PrimaryKey,
    /// The request's fields, which select a variant.
    pub request: &'a HeaderMap,
    /// The selecting fields, where they are known. Not knowing them costs a second round trip where there are any.
    pub spec: Option<&'a VarySpec>,
    /// The fetch that is known already: only what came of a later one is news. 0: nothing is known.
    pub newer_than: u64,
    /// The lease that the asker wants; `None`: it makes nobody wait.
    pub lease: Option<LeaseTerms>,
}

/// What a lease would be granted for.
#[derive(Clone, Copy, Debug)]
pub struct LeaseTerms {
    /// For how long others wait for a holder that is never heard of again. A holder that lives renews it.
    pub term: Duration,
    /// The ledger's position from before the fetch: an invalidation that comes later makes the lease outdated.
    pub position: Position,
    /// A lease that the asker has found to be outdated, and that no longer counts.
    pub instead_of: Option<u64>,
}

/// Another replica's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Tells it from other leases.
    pub token: u64,
    /// The ledger's position from before its fetch, as replicas share it.
    pub position: Position,
}

/// What a look-up came to.
#[derive(Debug)]
pub enum Loaded {
    /// This is stored. Neither its freshness nor its validity has been looked at.
    Response(Arc<StoredResponse>),
    /// This is stored, with a long body that is on its way.
    Arriving(Arriving),
    /// Nothing (newer) is stored. With a lease, others wait for what the asker will [`RemoteStore::commit`].
    Nothing(Option<Lease>),
    /// Nothing (newer) is stored, and another fetch is under way. Whether it is one from before an invalidation is for the asker to judge.
    Awaited(Holder),
}

/// A stored response whose body is on its way. Neither its freshness nor its validity has been looked at.
pub struct Arriving {
    /// All of it but the body.
    pub record: Box<ResponseRecord>,
    /// The body.
    pub chunks: Box<dyn Chunks>,
}

/// A body on its way, in segments of [`SEGMENT`](crate::SEGMENT) bytes and a shorter last one.
pub trait Chunks: Send {
    /// The next segment, which is proven to be the one of its place; `None` after the last. After an error nothing more comes.
    fn next(&mut self) -> Answer<'_, Option<Result<Bytes, RemoteError>>>;

    /// Bytes of memory, at most, that what was fetched ahead takes now.
    fn ahead(&self) -> u64;
}

impl Arriving {
    /// Waits for all of it.
    pub async fn whole(mut self) -> Result<StoredResponse, RemoteError> {
        let mut segments = Vec::new();
        for _ in 0..self.record.body().chunks() {
            segments.push(self.chunks.next().await.unwrap_or(Err(RemoteError::Incomplete))?);
        }
        self.record.complete(segments).map_err(|_| RemoteError::Damaged)
    }
}

impl fmt::Debug for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arriving").field("record", &self.record).finish_non_exhaustive()
    }
}

/// What is to be written.
#[derive(Debug)]
pub struct Write {
    /// The response.
    pub response: Arc<StoredResponse>,
    /// How long it can be of use; never zero.
    pub keep: Duration,
    /// The lease it was fetched under.
    pub lease: Option<Lease>,
}

/// A tier behind the memory, shared by several replicas. Keys are compared in full, and of two fetches of one key the later one wins,
/// whichever is written first.
pub trait RemoteStore: Send + Sync + fmt::Debug {
    /// What is stored for a request, or else the lease to fetch it: in one round trip, unless selecting fields come to light.
    fn load<'a>(&'a self, ask: Ask<'a>) -> Answer<'a, Result<Loaded, RemoteError>>;

    /// Stores a response with its body, and ends the lease. Ready once the tier has taken it over, which may be before it is written.
    fn commit(&self, write: Write) -> Answer<'_, ()>;

    /// Stores a head that a 304 renewed. The body is left alone where it is still the one it belongs to, and written again otherwise.
    fn freshen(&self, write: Write) -> Answer<'_, ()>;

    /// Drops a response that its origin no longer stands for, unless a later fetch has replaced it.
    fn remove(&self, response: &StoredResponse);

    /// Whether it keeps bodies of this length, in bytes. Nobody needs to wait for one that it does not.
    fn takes(&self, length: u64) -> bool {
        let _ = length;
        true
    }
}

/// The log of invalidations that replicas share. What others put in arrives in this process's [`Ledger`](crate::Ledger) by itself.
pub trait InvalidationLog: Send + Sync + fmt::Debug {
    /// Tells the other replicas of an invalidation. Ready when the log has it and, unless that takes too long, this process's ledger too;
    /// or after a short while when the log cannot be reached: then it is kept, and told later.
    fn publish(&self, invalidation: Invalidation) -> Answer<'_, Published>;

    /// As [`Self::publish`], of what every replica has heard at the same time: one of them puts it in. `messages` tell it from others, and
    /// are the same on each. Ready when the log has it, or this process has done what it can.
    fn publish_once(&self, invalidation: Invalidation, messages: Vec<u64>) -> Answer<'_, ()> {
        // Several times does no harm.
        let _ = messages;
        Box::pin(async move { _ = self.publish(invalidation).await })
    }

    /// Which replicas live, and how many of them have applied the entry of this number. `None` where the log cannot say now.
    fn applied_by(&self, number: u64) -> Answer<'_, Option<AppliedBy>>;
}

/// What became of an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The log has it under this number.
    Logged(u64),
    /// It will be told when the log can be reached again.
    Kept,
    /// As [`Self::Kept`], unless this process ends before: the journal that should outlive it cannot be written.
    Unwritten,
}

/// How far replicas have followed the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppliedBy {
    /// Replicas that have applied an entry.
    pub applied: usize,
    /// Replicas that live, this one included, and those of which nobody knows whether they do.
    pub replicas: usize,
    /// Of those that have not applied it, the ones that have not been heard of for a while: stopped, cut off or gone. They may serve what
    /// they have for as long as they may be without the log.
    pub unknown: usize,
}

impl AppliedBy {
    /// Whether no replica serves what the entry made old.
    pub fn is_everyone(self) -> bool {
        self.applied > 0 && self.applied >= self.replicas
    }
}

/// The right to fetch for a key while other replicas wait. It ends with what is written under it, or when it is dropped.
pub struct Lease {
    place: String,
    token: u64,
    arriving: bool,
    held: Option<Box<dyn Held>>,
}

/// A lease on the side of the tier that has granted it, and that renews it for as long as this lives.
pub trait Held: Send + Sync {
    /// It ends without a stored response.
    fn end(self: Box<Self>, ending: Ending);

    /// The answer's head is there and its body is on its way: a long one is not worth waiting for, so the lease ends by itself soon.
    fn arriving(&self);
}

/// How a lease ended without a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is known of an answer: the next one that waits may try.
    GivenUp,
    /// The origin gave no answer. Those who wait try all at once: one after the other would make the last wait for all.
    Failed,
    /// The answer is for one client only: nobody needs to wait for anybody.
    NotShared,
}

impl Lease {
    /// A lease that was granted at `place` and is known by `token`.
    pub fn new(place: String, token: u64, held: impl Held + 'static) -> Self {
        Self { place, token, arriving: false, held: Some(Box::new(held)) }
    }

    /// Where it was granted. What is written under it may lie elsewhere: the answer may have selecting fields that nobody knew of.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Tells it from the leases of others.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// The answer's head is there. Those who wait for a body that takes long from here on stop waiting.
    pub fn arriving(&mut self) {
        self.arriving = true;
        if let Some(held) = &self.held {
            held.arriving();
        }
    }

    /// It ended with what was written.
    pub fn spent(mut self) {
        self.held = None;
    }

    /// It ends, and those who wait need not wait for each other.
    pub fn not_shared(mut self) {
        self.end(Ending::NotShared);
    }

    /// It ends without an answer, and those who wait try at the same time.
    pub fn failed(mut self) {
        self.end(Ending::Failed);
    }

    fn end(&mut self, ending: Ending) {
        if let Some(held) = self.held.take() {
            held.end(ending);
        }
    }
}

impl Drop for Lease {
    /// A body that broke off is no answer, and one that may do so again.
    fn drop(&mut self) {
        self.end(if self.arriving { Ending::Failed } else { Ending::GivenUp });
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("place", &self.place).field("token", &self.token).finish_non_exhaustive()
    }
}
