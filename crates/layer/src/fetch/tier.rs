//! The tier behind the memory, as fetches use it: the leader asks it once for a key, and writes to it what it fetched.

use std::sync::Arc;
use std::time::Duration;

use larder_semantics::storage::refuses_the_request;
use larder_semantics::{Decision, StoredHead, Timestamp, VarySpec, decide};
use larder_store::{
    Arriving, InvalidationLog, Lease, LeaseHolder, LeaseTerms, LoadRequest, Loaded, Lookup, RemoteStore, StoredResponse, Subject, Validity,
    Write,
};

use crate::cache::Cache;
use crate::lookup::plan::is_collapsed;
use crate::lookup::request::ClientRequest;
use crate::rules::RouteRules;
use crate::task::detached::detach;

/// How long a response with a validator is kept past its use, for 304s to renew it.
const FOR_VALIDATION: u32 = 3600;

/// Shortest and longest pause between two looks at a key that another replica is fetching.
const MIN_LOOK_PAUSE: Duration = Duration::from_millis(5);
const MAX_LOOK_PAUSE: Duration = Duration::from_millis(50);

/// How long others wait for a replica that has died in the middle of a fetch. One that lives renews its lease.
const TERM: Duration = Duration::from_secs(2);

/// A tier that replicas share, and the log of invalidations, which says which of its responses are still valid.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The tier.
    pub store: Arc<dyn RemoteStore>,
    /// The log. It has to go into the ledger that the cache is made with.
    pub log: Arc<dyn InvalidationLog>,
}

/// The tier's answer.
#[derive(Debug)]
pub(crate) enum TierAnswer {
    /// This may be served. It is in memory now.
    Serve(Arc<StoredResponse>),
    /// This may be served while its body arrives.
    Arriving(Arriving),
    /// The origin has to be asked.
    Fetch(FetchBasis),
}

/// The stored response and the lease that a fetch begins with.
#[derive(Debug, Default)]
pub(crate) struct FetchBasis {
    /// Stored, and to be validated.
    pub(crate) candidate: Option<Arc<StoredResponse>>,
    /// Other replicas wait for it.
    pub(crate) lease: Option<Lease>,
}

impl Remote {
    /// Asks for the response that a request selects. A leader, which others here wait for, gets the lease; where another fetch is under way,
    /// it follows that one for as long as one here follows another.
    pub(crate) async fn ask(&self, cache: &Cache, rules: &RouteRules, request: &ClientRequest, found: &Lookup, leads: bool) -> TierAnswer {
        let patience = if leads { rules.collapse_wait } else { Duration::MAX };
        let mut basis = FetchBasis::default();
        let loaded = tokio::time::timeout(patience, self.load(cache, rules, request, found, leads, &mut basis)).await;
        match loaded.ok().flatten() {
            Some(found) => found,
            None => TierAnswer::Fetch(basis),
        }
    }

    async fn load(
        &self,
        cache: &Cache,
        rules: &RouteRules,
        request: &ClientRequest,
        found: &Lookup,
        leads: bool,
        basis: &mut FetchBasis,
    ) -> Option<TierAnswer> {
        let (fields, spec) = (&request.parts.headers, selecting(found));
        let mut newer_than = found.response().map_or(0, |stored| stored.fetch);
        let (mut pause, mut instead_of) = (MIN_LOOK_PAUSE, None);
        loop {
            let lease = leads.then(|| LeaseTerms { term: TERM, position: cache.store.ledger().position(), instead_of });
            let stored = match self.store.load(LoadRequest { key: &request.key, request: fields, spec, newer_than, lease }).await.ok()? {
                Loaded::Nothing(granted) => {
                    basis.lease = granted;
                    return None;
                }
                Loaded::Awaited(holder) => {
                    instead_of = is_outdated(&holder, cache, rules, request).then_some(holder.token);
                    if instead_of.is_none() {
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(MAX_LOOK_PAUSE);
                    }
                    continue;
                }
                Loaded::Response(stored) => stored,
                Loaded::Arriving(arriving) => {
                    newer_than = newer_than.max(arriving.record.fetch());
                    cache.saw_fetch(arriving.record.fetch());
                    let about = Subject { url: request.key.url(), tags: arriving.record.tags().into() };
                    let validity = cache.store.ledger().check(&about, arriving.record.position());
                    let decision = decide(&rules.policy, &request.context, Some(arriving.record.head()), cache.clock.now());
                    match (validity, decision) {
                        (Validity::Invalid, _) => continue,
                        (Validity::Valid, Decision::Serve { .. }) => return Some(TierAnswer::Arriving(arriving)),
                        // A response that may have to be validated is loaded whole.
                        _ => Arc::new(arriving.whole().await.ok()?),
                    }
                }
            };
            // Invalidated, or no use to this request: there may be a later one, or the lease.
            newer_than = newer_than.max(stored.fetch);
            if !cache.promote(&stored) {
                continue;
            }
            let decision = rules.decide(&request.context, &Lookup::Found(Arc::clone(&stored)), cache.clock.now());
            if matches!(decision, Decision::Serve { .. }) {
                return Some(TierAnswer::Serve(stored));
            }
            basis.candidate = Some(stored);
            // A response that every request has to validate for itself is not worth a wait.
            if matches!(decision, Decision::Validate { reason } if !is_collapsed(reason)) {
                return None;
            }
        }
    }
}

/// Whether a fetch under way began before something that concerns its answer was invalidated. Where an answer's body may name more tags,
/// any invalidation may have been about those.
fn is_outdated(holder: &LeaseHolder, cache: &Cache, rules: &RouteRules, request: &ClientRequest) -> bool {
    let ledger = cache.store.ledger();
    if ledger.position() <= holder.position {
        return false;
    }
    // A response with more tags than are kept is not stored by any replica.
    let Some(tags) = rules.known_tags(&request.parts, &request.key) else { return true };
    let about = Subject { url: request.key.url(), tags: (&tags).into() };
    !rules.tags.in_response().is_empty() || ledger.check(&about, holder.position) != Validity::Valid
}

fn selecting(found: &Lookup) -> Option<&VarySpec> {
    match found {
        Lookup::Found(stored) | Lookup::Unvouched(stored) => stored.variant().map(|variant| &variant.spec),
        Lookup::VaryMiss(index) => index.specs().first(),
        Lookup::Partial(_) | Lookup::HitForMiss | Lookup::Absent => None,
    }
}

impl Cache {
    /// Takes a response that another replica has stored into memory. `false`: it was invalidated since.
    pub(crate) fn promote(&self, stored: &Arc<StoredResponse>) -> bool {
        self.saw_fetch(stored.fetch);
        let valid = stored.is_valid(self.store.ledger());
        if valid {
            self.store.commit(Arc::clone(stored));
        }
        valid
    }

    /// Stores a response in all tiers. Whether it is in memory.
    pub(crate) async fn commit(&self, response: Arc<StoredResponse>, lease: Option<Lease>) -> bool {
        // A response that was invalidated meanwhile is of no use to other replicas either.
        let stored = self.store.commit(Arc::clone(&response));
        self.settle();
        if stored
            && let Some(remote) = &self.remote
            && let Some(write) = self.write(response, lease)
        {
            remote.store.commit(write).await;
        }
        stored
    }

    /// Stores a response whose head was renewed.
    pub(crate) async fn freshen(&self, response: Arc<StoredResponse>, lease: Option<Lease>) {
        if self.store.commit(Arc::clone(&response))
            && let Some(remote) = &self.remote
            && let Some(write) = self.write(response, lease)
        {
            remote.store.freshen(write).await;
        }
    }

    /// As [`Self::freshen`], without waiting for other tiers than the memory.
    pub(crate) fn freshen_soon(self: &Arc<Self>, response: Arc<StoredResponse>) {
        if self.store.commit(Arc::clone(&response))
            && let Some(remote) = self.remote.clone()
            && let Some(write) = self.write(response, None)
        {
            detach(async move { remote.store.freshen(write).await });
        }
    }

    /// Drops a response that its origin no longer stands for from all tiers.
    pub(crate) fn remove(&self, response: &StoredResponse) {
        self.store.remove(response);
        if let Some(remote) = &self.remote {
            remote.store.remove(response);
        }
    }

    fn write(&self, response: Arc<StoredResponse>, lease: Option<Lease>) -> Option<Write> {
        // A refusal of one request is not written for other replicas: it might replace a good response there.
        let keep = useful_for(&response.head, self.clock.now()).filter(|_| !refuses_the_request(response.head.status));
        match keep {
            Some(keep) => Some(Write { response, keep, lease }),
            None => {
                lease.into_iter().for_each(Lease::not_shared);
                None
            }
        }
    }
}

/// How long a response can be of any use: while it is fresh, while it may be served stale, and while it may be validated.
fn useful_for(head: &StoredHead, now: Timestamp) -> Option<Duration> {
    let validation = if head.has_validator() { FOR_VALIDATION } else { 0 };
    let stale = head.stale_while_revalidate.max(head.stale_if_error).max(validation);
    let end = u64::from(head.lifetime.seconds) + u64::from(stale);
    let left = end.saturating_sub(u64::from(head.age(now)));
    (left > 0).then(|| Duration::from_secs(left))
}
