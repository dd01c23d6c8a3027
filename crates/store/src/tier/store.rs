//! A tier: what it is asked, what it answers, what is written to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use larder_semantics::{PrimaryKey, VarySpec};

use super::arriving::Arriving;
use super::body::{NewRemoteBody, RemoteBodyWriter};
use super::lease::{FetchFailure, Lease, LeaseHolder, LeaseTerms};
use super::operation::{RemoteError, StoreFuture};
use super::relay::Relayed;
use crate::entry::StoredResponse;
use crate::ledger::LogPosition;

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
    /// The token of another replica's fetch that the request has waited for: if that fails, the request wants to know how.
    pub awaited: Option<u64>,
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
    /// As [`Self::Awaited`], and that fetch's answer can be read while it arrives.
    Relayed(Relayed),
    /// Nothing (newer) is stored, and the fetch that the request has waited for has failed.
    Failed(FetchFailure),
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
    /// The position that a tier which outlives the process keeps with it, to ask [`Ledger::position_of`](crate::Ledger::position_of) before it is used again.
    /// `None`: a later process could not judge it, so such a tier only drops what it has from an earlier fetch.
    pub log_position: Option<LogPosition>,
}

/// A tier behind the memory: one that replicas share, or a local one. Keys are compared in full, and of two fetches of one key the later
/// one wins, whichever is written first. What only shared tiers have (leases, later fetches of other replicas) has a default for local ones.
pub trait RemoteStore: Send + Sync + fmt::Debug {
    /// Its name in figures and logs.
    fn name(&self) -> &'static str;

    /// The response that is stored for a request, or else the lease to fetch it: in one round trip, unless selecting fields come to light.
    fn load<'a>(&'a self, ask: LoadRequest<'a>) -> StoreFuture<'a, Result<Loaded, RemoteError>>;

    /// Stores a response with its body, and ends the lease. Ready once the tier has taken it over, which may be before it is written.
    fn commit(&self, write: Write) -> StoreFuture<'_, ()>;

    /// As [`Self::commit`], of a response that was found in a tier behind this one. A tier that does not admit everything decides here.
    fn promote(&self, write: Write) -> StoreFuture<'_, ()> {
        self.commit(write)
    }

    /// Takes a body while it arrives, without its having been in memory as a whole. `None`: not this one, or not now.
    fn begin_body(&self, new: NewRemoteBody<'_>) -> Option<Box<dyn RemoteBodyWriter>> {
        let _ = new;
        None
    }

    /// Stores a head that a 304 renewed. The body is left alone where it is still the one it belongs to, and written again otherwise.
    fn freshen(&self, write: Write) -> StoreFuture<'_, ()>;

    /// Drops a response that its origin no longer stands for, unless a later fetch has replaced it.
    fn remove(&self, response: &StoredResponse);

    /// Drops what is earlier than a response which another tier has taken while it arrived, and of which this one was not told. That response
    /// comes without its body. The tier that has taken it is told as well, and has nothing to do.
    fn outdate(&self, response: &StoredResponse) {
        let _ = response;
    }

    /// Memory holds a response in another form from now on. A tier that looks whether the one it was given is asked for has to look at the other.
    fn repacked(&self, before: &Arc<StoredResponse>, now: &Arc<StoredResponse>) {
        let _ = (before, now);
    }

    /// An invalidation holds in this process that nothing which outlives it has. A tier that outlives it must not let a later process use what
    /// it has stored up to this position, whether it was written already or not; `None`: anything that it has. Ready once that is certain.
    fn forget_after_restart(&self, up_to: Option<LogPosition>) -> StoreFuture<'_, ()> {
        let _ = up_to;
        Box::pin(std::future::ready(()))
    }

    /// Whether it keeps bodies of this length, in bytes. Requests need not wait for one that it does not keep.
    fn takes(&self, length: u64) -> bool {
        let _ = length;
        true
    }

    /// Whether other replicas read and write it. Only such a tier is asked for leases, and asked again where what it had is of no use: another
    /// replica may have stored something newer.
    fn is_shared(&self) -> bool {
        false
    }

    /// How long one operation may take before the request goes on without it. `None`: the tier keeps its own deadlines.
    fn deadline(&self) -> Option<Duration> {
        None
    }

    /// Ready when the holder of another replica's lease, which [`Self::load`] has returned, becomes silent.
    fn silenced(&self, token: u64) -> StoreFuture<'_, ()> {
        let _ = token;
        Box::pin(std::future::pending())
    }

    /// Requests that have waited for another replica's fetch for longer share its failure; the others ask the origin themselves. About as long
    /// as an operation may take.
    fn shares_failures_after(&self) -> Duration {
        Duration::ZERO
    }
}
