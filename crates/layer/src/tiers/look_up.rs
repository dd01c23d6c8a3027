//! Look-ups in the tiers: the leader of a fetch asks each of them once for a key, from the nearest to the farthest. In a shared one it may have
//! to wait for another replica ([`super::waiting`]).

use std::sync::Arc;
use std::time::Duration;

use larder_semantics::{Decision, VarySpec, decide};
use larder_store::{
    Arriving, FetchFailure, Lease, LeaseTerms, LoadRequest, Loaded, Lookup, Relayed, Remembered, RemoteError, StoredResponse, Subject,
    Validity,
};

use super::chain::{Tier, count};
use super::concurrent::within;
use super::relayed::RelayResult;
use super::waiting::{Overdue, Wait, Waiting};
use crate::cache::Cache;
use crate::lookup::plan::is_collapsed;
use crate::lookup::request::ClientRequest;
use crate::rules::RouteRules;
use crate::steps::{Step, Stopwatch};

/// How long others wait for a replica that has died in the middle of a fetch, where they do not notice its silence sooner. One that lives
/// renews its lease.
const TERM: Duration = Duration::from_secs(2);

/// The answer of the tiers.
#[derive(Debug)]
pub(crate) enum TierAnswer {
    /// This may be served. It is in memory now.
    Serve(Arc<StoredResponse>, Promotion),
    /// This may be served while its body arrives.
    Arriving(Arriving, Promotion),
    /// This may be served while another replica fetches it.
    Relayed(Relayed, Promotion),
    /// The origin has to be asked.
    Fetch(FetchBasis),
    /// Another replica's fetch has failed, and this request has waited for it. What is stored may stand in.
    Failed(FetchFailure, Option<Arc<StoredResponse>>),
}

/// The stored response and the lease that a fetch begins with.
#[derive(Debug, Default)]
pub(crate) struct FetchBasis {
    /// Stored, and to be validated.
    pub(crate) candidate: Option<Arc<StoredResponse>>,
    /// Other replicas wait for it.
    pub(crate) lease: Option<Lease>,
    /// Another replica's fetch, which was waited for in vain. It may succeed all the same.
    pub(crate) overdue: Option<Overdue>,
}

/// A response goes to the tiers before the one that had it.
#[derive(Debug)]
pub(crate) struct Promotion {
    /// The number of the tier that had it.
    pub(super) tier: usize,
    /// A nearer tier has granted this in the meantime.
    pub(super) lease: Option<Lease>,
}

/// The result of asking one tier.
pub(super) enum TierResult {
    /// The answer of all of them.
    Answered(TierAnswer),
    /// Nothing that can be served: a later response is of use, from here or from the next tier.
    NoUse,
    /// Nothing that can be served, and the origin can say more than the next tier.
    AskOrigin,
}

/// Asks for the response that a request selects. A leader, which others here wait for, gets the lease; where another replica's fetch is under
/// way, it `wait`s for that one.
pub(crate) async fn ask(cache: &Cache, rules: &RouteRules, request: &ClientRequest, found: &Lookup, wait: Option<Wait<'_>>) -> TierAnswer {
    let (spec, newer_than) = (selecting(found), found.response().map_or(0, |stored| stored.fetch));
    let mut looking = Looking { cache, rules, request, spec, newer_than, wait, basis: FetchBasis::default() };
    match looking.ask_all().await {
        Some(answer) => answer,
        None => TierAnswer::Fetch(looking.basis),
    }
}

/// A look-up under way.
pub(super) struct Looking<'a> {
    pub(super) cache: &'a Cache,
    pub(super) rules: &'a RouteRules,
    pub(super) request: &'a ClientRequest,
    pub(super) spec: Option<&'a VarySpec>,
    /// The latest fetch that is known: nothing earlier is of use.
    pub(super) newer_than: u64,
    /// `None`: no other request here waits for this one's fetch, and it waits for none.
    pub(super) wait: Option<Wait<'a>>,
    pub(super) basis: FetchBasis,
}

impl Looking<'_> {
    async fn ask_all(&mut self) -> Option<TierAnswer> {
        let chosen = self.cache.tiers.iter().enumerate().filter(|(_, tier)| self.rules.tiers.has(tier.store.name()));
        for (number, tier) in chosen {
            let stopwatch = Stopwatch::start(&self.request.parts.extensions);
            let result = self.ask(number, tier).await;
            stopwatch.stop(|| Step::Tier { name: tier.store.name(), answered: matches!(result, TierResult::Answered(_)) });
            match result {
                TierResult::Answered(answer) => return Some(answer),
                TierResult::NoUse => {}
                TierResult::AskOrigin => return None,
            }
        }
        None
    }

    async fn ask(&mut self, number: usize, tier: &Tier) -> TierResult {
        let mut waiting = Waiting::default();
        loop {
            let result = match self.load(tier, waiting.instead_of, waiting.token()).await {
                Ok(Loaded::Response(stored)) => self.judge(number, stored),
                Ok(Loaded::Arriving(arriving)) => match self.judge_arriving(number, arriving).await {
                    Ok(result) => result,
                    Err(_) => return TierResult::NoUse,
                },
                Ok(Loaded::Awaited(holder)) => match self.wait_for(number, &holder, &mut waiting).await {
                    true => continue,
                    false => return TierResult::AskOrigin,
                },
                Ok(Loaded::Relayed(relayed)) => match self.judge_relayed(number, relayed) {
                    RelayResult::Ends(result) => return result,
                    RelayResult::Outdated(holder) if self.wait.is_none() || waiting.instead_of == Some(holder.token) => {
                        return TierResult::AskOrigin;
                    }
                    RelayResult::Outdated(holder) => {
                        waiting.instead_of = Some(holder.token);
                        continue;
                    }
                },
                Ok(Loaded::Failed(failure)) => {
                    self.basis.overdue = None;
                    self.remember(&failure);
                    return match waiting.is_longer_than(tier.store.shares_failures_after()) {
                        true => TierResult::Answered(TierAnswer::Failed(failure, self.basis.candidate.take())),
                        false => TierResult::AskOrigin,
                    };
                }
                Ok(Loaded::Nothing(granted)) => {
                    let granted = granted.map(|lease| lease.of_tier(number));
                    self.basis.lease = self.basis.lease.take().or(granted);
                    return TierResult::NoUse;
                }
                Err(_) => return TierResult::NoUse,
            };
            // Another replica may have stored a later response in a shared tier, and otherwise there is the lease.
            if !matches!(result, TierResult::NoUse) || !tier.store.is_shared() {
                return result;
            }
        }
    }

    /// Asks a tier once, with its deadline, and counts how that ended: for the lease, instead of one that does not count any more, and for the
    /// failure of the fetch that was waited for.
    pub(super) async fn load(
        &self,
        Tier { store, counters }: &Tier,
        instead_of: Option<u64>,
        awaited: Option<u64>,
    ) -> Result<Loaded, RemoteError> {
        let wants_lease = self.wait.is_some() && store.is_shared() && self.basis.lease.is_none();
        let position = self.cache.store.ledger().position();
        let lease = wants_lease.then_some(LeaseTerms { term: TERM, position, instead_of });
        let (request, newer_than) = (&self.request.parts.headers, self.newer_than);
        let load = store.load(LoadRequest { key: &self.request.key, request, spec: self.spec, newer_than, lease, awaited });
        let loaded = within(store.deadline(), load).await.unwrap_or(Err(RemoteError::Timeout));
        match &loaded {
            Ok(Loaded::Response(_) | Loaded::Arriving(_) | Loaded::Relayed(_)) => count(&counters.hits),
            Ok(Loaded::Nothing(_) | Loaded::Awaited(_) | Loaded::Failed(_)) => count(&counters.misses),
            Err(_) => count(&counters.failures),
        }
        loaded
    }

    /// Takes a response into memory, and says whether it answers the request.
    pub(super) fn judge(&mut self, number: usize, stored: Arc<StoredResponse>) -> TierResult {
        let (cache, context) = (self.cache, &self.request.context);
        self.newer_than = self.newer_than.max(stored.fetch);
        if !cache.promote(&stored) {
            return TierResult::NoUse;
        }
        let now = cache.clock.now();
        let decision = self.rules.decide(context, &cache.store.vouched(Arc::clone(&stored), now), now);
        if matches!(decision, Decision::Serve { .. }) {
            return TierResult::Answered(TierAnswer::Serve(stored, self.promotion(number)));
        }
        self.basis.candidate = Some(stored);
        // A response that every request has to validate for itself is not worth a wait.
        if matches!(decision, Decision::Validate { reason } if !is_collapsed(reason)) {
            return TierResult::AskOrigin;
        }
        TierResult::NoUse
    }

    /// As [`Self::judge`], of a response whose body arrives. One that may have to be validated is loaded whole.
    pub(super) async fn judge_arriving(&mut self, number: usize, arriving: Arriving) -> Result<TierResult, RemoteError> {
        let (cache, record) = (self.cache, &arriving.record);
        self.newer_than = self.newer_than.max(record.fetch());
        cache.saw_fetch(record.fetch());
        let about = Subject { url: self.request.key.url(), tags: record.tags().into() };
        let validity = cache.store.ledger().check(&about, record.position());
        let now = cache.clock.now();
        let head = Some(record.head()).filter(|head| cache.store.vouches_for(head, now));
        let decision = decide(&self.rules.policy, &self.request.context, head.map(|head| &**head), now);
        match (validity, decision) {
            (Validity::Invalid, _) => Ok(TierResult::NoUse),
            (Validity::Valid, Decision::Serve { .. }) => Ok(TierResult::Answered(TierAnswer::Arriving(arriving, self.promotion(number)))),
            // It is not loaded into memory to be validated: the origin is asked for all of it.
            _ if record.body().length > cache.max_in_memory && arriving.chunks.remote().is_some() => Ok(TierResult::NoUse),
            _ => {
                let stored = arriving.whole().await?;
                Ok(self.judge(number, Arc::new(stored)))
            }
        }
    }

    /// Remembers what another replica does of a key whose answers are for one client each.
    pub(super) fn remember(&self, failure: &FetchFailure) {
        let own = if self.request.context.has_credentials() { Remembered::OfCredentials } else { Remembered::Plain };
        if *failure == FetchFailure::NotShared(own) {
            self.request.remember_hit_for_miss(self.cache, false, self.cache.next_fetch());
        }
    }

    pub(super) fn promotion(&mut self, tier: usize) -> Promotion {
        Promotion { tier, lease: self.basis.lease.take() }
    }
}

fn selecting(found: &Lookup) -> Option<&VarySpec> {
    match found {
        Lookup::Found(stored) | Lookup::Unvouched(stored) => stored.variant().map(|variant| &variant.spec),
        Lookup::VaryMiss(index, _) => index.specs().first(),
        Lookup::Partial(_) | Lookup::HitForMiss { .. } | Lookup::Absent(_) => None,
    }
}
