//! The interface of a tier behind the memory, whether it is Redis or a disk.
//!
//! Nothing here may harm a request: every error is a miss, and a write that fails is one response stored less.

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

/// A boxed future, which keeps [`RemoteStore`] object-safe.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why the tier did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RemoteError {
    /// The breaker is open: the tier has failed too often.
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
    /// It works, but the log of invalidations has not been read, so stored responses cannot be validated against it.
    #[error("the log of invalidations has not been read")]
    Unvouched,
    /// A stored value does not decode.
    #[error("what the store holds is damaged")]
    Damaged,
    /// A part of a stored value is gone: evicted, or replaced by something newer.
    #[error("what the store holds is incomplete")]
    Incomplete,
}

/// A look-up.
#[derive(Clone, Copy, Debug)]
pub struct LoadRequest<'a> {
    /// The primary key.
    pub key: &'a PrimaryKey,
    /// The request's fields, which select a variant.
    pub request: &'a HeaderMap,
    /// The selecting fields, where they are known. Not knowing them costs a second round trip where there are any.
    pub spec: Option<&'a VarySpec>,
    /// The fetch that is known already: only the response of a later one is returned. 0: nothing is known.
    pub newer_than: u64,
    /// The lease that the request wants; `None`: no other request waits for its fetch.
    pub lease: Option<LeaseTerms>,
}

/// The terms of a lease.
#[derive(Clone, Copy, Debug)]
pub struct LeaseTerms {
    /// For how long other replicas wait for a holder that has died. A holder that lives renews the lease.
    pub term: Duration,
    /// The ledger's position from before the fetch: an invalidation that comes later makes the lease outdated.
    pub position: Position,
    /// The token of a lease that the request has found to be outdated: it no longer counts.
    pub instead_of: Option<u64>,
}

/// Another replica's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseHolder {
    /// Tells it from other leases.
    pub token: u64,
    /// The ledger's position from before its fetch, as replicas share it.
    pub position: Position,
}

/// The result of a look-up.
#[derive(Debug)]
pub enum Loaded {
    /// This is stored. Neither its freshness nor its validity has been looked at.
    Response(Arc<StoredResponse>),
    /// This is stored, with a long body that is on its way.
    Arriving(Arriving),
    /// Nothing (newer) is stored. With a lease, other replicas wait until the holder does [`RemoteStore::commit`].
    Nothing(Option<Lease>),
    /// Nothing (newer) is stored, and another fetch is under way. The caller judges whether it began before an invalidation.
    Awaited(LeaseHolder),
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
    fn next(&mut self) -> StoreFuture<'_, Option<Result<Bytes, RemoteError>>>;

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

/// A response to be written.
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
    /// The response that is stored for a request, or else the lease to fetch it: in one round trip, unless selecting fields come to light.
    fn load<'a>(&'a self, ask: LoadRequest<'a>) -> StoreFuture<'a, Result<Loaded, RemoteError>>;

    /// Stores a response with its body, and ends the lease. Ready once the tier has taken it over, which may be before it is written.
    fn commit(&self, write: Write) -> StoreFuture<'_, ()>;

    /// Stores a head that a 304 renewed. The body is left alone where it is still the one it belongs to, and written again otherwise.
    fn freshen(&self, write: Write) -> StoreFuture<'_, ()>;

    /// Drops a response that its origin no longer stands for, unless a later fetch has replaced it.
    fn remove(&self, response: &StoredResponse);

    /// Whether it keeps bodies of this length, in bytes. Requests need not wait for one that it does not keep.
    fn takes(&self, length: u64) -> bool {
        let _ = length;
        true
    }
}

/// The log of invalidations that replicas share. Entries of other replicas arrive in this process's [`Ledger`](crate::Ledger) by themselves.
pub trait InvalidationLog: Send + Sync + fmt::Debug {
    /// Publishes an invalidation to the other replicas. Ready when the log has it and, unless that takes too long, this process's ledger too;
    /// or after a short while when the log cannot be reached: then it is kept, and published later.
    fn publish(&self, invalidation: Invalidation) -> StoreFuture<'_, Published>;

    /// As [`Self::publish`], of messages that every replica has received at the same time: one of them puts it in. `messages` tell it from others, and
    /// are the same on each. Ready when the log has it, or this process has done what it can.
    fn publish_once(&self, invalidation: Invalidation, messages: Vec<u64>) -> StoreFuture<'_, ()> {
        // Several times does no harm.
        let _ = messages;
        Box::pin(async move { _ = self.publish(invalidation).await })
    }

    /// Which replicas live, and how many of them have applied the entry of this number. `None` where the log cannot say now.
    fn applied_by(&self, number: u64) -> StoreFuture<'_, Option<AppliedBy>>;
}

/// Where an invalidation is after [`InvalidationLog::publish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The log has it under this number.
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
    /// Whether no replica serves what the entry made old.
    pub fn is_everyone(self) -> bool {
        self.applied > 0 && self.applied >= self.replicas
    }
}

/// The right to fetch for a key while other replicas wait. It ends with what is written under it, or when it is dropped.
pub struct Lease {
    key: String,
    token: u64,
    arriving: bool,
    held: Option<Box<dyn HeldLease>>,
}

/// A lease on the side of the tier that has granted it, and that renews it for as long as this lives.
pub trait HeldLease: Send + Sync {
    /// It ends without a stored response.
    fn end(self: Box<Self>, ending: LeaseEnd);

    /// The answer's head is there and its body is on its way: a long one is not worth waiting for, so the lease ends by itself soon.
    fn arriving(&self);
}

/// How a lease ended without a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEnd {
    /// No answer is known: the next request that waits may fetch.
    GivenUp,
    /// The origin gave no answer. All requests that wait fetch at once: one after the other, the last would wait for all.
    Failed,
    /// The answer is for one client only: requests need not wait for each other.
    NotShared,
}

impl Lease {
    /// A lease that was granted under `key` and is known by `token`.
    pub fn new(key: String, token: u64, held: impl HeldLease + 'static) -> Self {
        Self { key, token, arriving: false, held: Some(Box::new(held)) }
    }

    /// The key it was granted under. The response may be written under another one: the answer may have selecting fields that were not known.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Tells it from the leases of others.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// The answer's head is there. Requests stop waiting for a body that takes long from here on.
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

    /// It ends, and requests that wait need not wait for each other.
    pub fn not_shared(mut self) {
        self.end(LeaseEnd::NotShared);
    }

    /// It ends without an answer, and all requests that wait fetch at the same time.
    pub fn failed(mut self) {
        self.end(LeaseEnd::Failed);
    }

    fn end(&mut self, ending: LeaseEnd) {
        if let Some(held) = self.held.take() {
            held.end(ending);
        }
    }
}

impl Drop for Lease {
    /// A body that broke off is no answer, and the next may break off too.
    fn drop(&mut self) {
        self.end(if self.arriving { LeaseEnd::Failed } else { LeaseEnd::GivenUp });
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("key", &self.key).field("token", &self.token).finish_non_exhaustive()
    }
}
