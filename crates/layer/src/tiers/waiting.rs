//! Fetches of other replicas, as a leader here waits for them.
//!
//! 1. A holder of the lease that lives is waited for until the leader's deadline. One that has become silent, or whose fetch is
//!    outdated, is not: its lease is taken over.
//! 2. A fetch that fails is shared by the requests that have waited for it longer than an operation of the tier may take. The others ask the
//!    origin themselves, all at the same time.
//! 3. A request that has waited in vain asks the origin. Meanwhile [`watch`] looks for what the other fetch brings after all: so nobody is later
//!    than without other replicas, whether the holder lives or not.

use std::future::pending;
use std::time::Duration;

use larder_store::{LeaseHolder, Loaded, StoredResponse, Subject, Validity};
use tokio::time::Instant;

use super::look_up::{FetchBasis, Looking, TierAnswer, TierResult};
use super::relayed::RelayResult;
use crate::cache::Cache;
use crate::clock::timer_now;
use crate::lookup::request::ClientRequest;
use crate::rules::RouteRules;

/// Shortest and longest pause between two looks at a key that another replica is fetching.
const MIN_LOOK_PAUSE: Duration = Duration::from_millis(5);
const MAX_LOOK_PAUSE: Duration = Duration::from_millis(25);

/// How a leader waits for another replica.
#[derive(Clone, Copy)]
pub(crate) struct Wait<'a> {
    /// The time until which it waits; `None`: without end.
    pub(crate) until: Option<Instant>,
    /// To be called when it begins.
    pub(crate) begins: &'a (dyn Fn() + Sync),
}

/// Another replica's fetch, which a request has waited for in vain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overdue {
    /// The number of the tier that granted its lease.
    tier: usize,
    token: u64,
}

/// A wait under way.
pub(super) struct Waiting {
    pause: Duration,
    /// The fetch that is waited for, and since when.
    awaited: Option<(u64, Instant)>,
    /// The lease that does not count any more.
    pub(super) instead_of: Option<u64>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { pause: MIN_LOOK_PAUSE, awaited: None, instead_of: None }
    }
}

impl Waiting {
    pub(super) fn token(&self) -> Option<u64> {
        self.awaited.map(|(token, _)| token)
    }

    pub(super) fn is_longer_than(&self, time: Duration) -> bool {
        self.awaited.is_some_and(|(_, since)| timer_now() - since > time)
    }
}

impl Looking<'_> {
    /// Waits a moment for another replica's fetch, unless that is in vain. `false`: the request's deadline is over.
    pub(super) async fn wait_for(&mut self, tier: usize, holder: &LeaseHolder, waiting: &mut Waiting) -> bool {
        let Some(Wait { until, begins }) = self.wait else { return false };
        let (now, token) = (timer_now(), holder.token);
        if waiting.token() != Some(token) {
            waiting.awaited = Some((token, now));
            begins();
        }
        let is_outdated = is_outdated(holder, self.cache, self.rules, self.request);
        self.basis.overdue = (!is_outdated).then_some(Overdue { tier, token });
        waiting.instead_of = (is_outdated || holder.silent).then_some(token);
        if waiting.instead_of.is_some() {
            return true;
        }
        if until.is_some_and(|until| now >= until) {
            return false;
        }
        let next = now + waiting.pause;
        let pause = tokio::time::sleep_until(until.map_or(next, |until| until.min(next)));
        tokio::select! {
            () = pause => {}
            () = self.cache.tiers[tier].store.silenced(token) => {}
        }
        waiting.pause = (waiting.pause * 2).min(MAX_LOOK_PAUSE);
        true
    }
}

/// Looks for the outcome of another replica's fetch, for as long as it takes. Of responses that are `known` it wants later ones only.
pub(crate) async fn watch(
    cache: &Cache,
    rules: &RouteRules,
    request: &ClientRequest,
    known: Option<&StoredResponse>,
    Overdue { tier: number, token }: Overdue,
) -> TierAnswer {
    let spec = known.and_then(StoredResponse::variant).map(|variant| &variant.spec);
    let newer_than = known.map_or(0, |stored| stored.fetch);
    let mut looking = Looking { cache, rules, request, spec, newer_than, wait: None, basis: FetchBasis::default() };
    let tier = &cache.tiers[number];
    loop {
        let result = match looking.load(tier, None, Some(token)).await {
            // This request asks for itself already.
            Ok(Loaded::Failed(failure)) if failure.is_of_one_request() => {
                looking.remember(&failure);
                return pending().await;
            }
            Ok(Loaded::Failed(failure)) => return TierAnswer::Failed(failure, looking.basis.candidate.take()),
            Ok(Loaded::Response(stored)) => Some(looking.judge(number, stored)),
            Ok(Loaded::Arriving(arriving)) => looking.judge_arriving(number, arriving).await.ok(),
            Ok(Loaded::Relayed(relayed)) => match looking.judge_relayed(number, relayed) {
                RelayResult::Ends(result) => Some(result),
                RelayResult::Outdated(_) => None,
            },
            // A tier that does not answer now may do so later.
            Ok(Loaded::Nothing(_) | Loaded::Awaited(_)) | Err(_) => None,
        };
        if let Some(TierResult::Answered(answer)) = result {
            return answer;
        }
        tokio::time::sleep(MAX_LOOK_PAUSE).await;
    }
}

/// Whether a fetch under way began before something that concerns its answer was invalidated. Where an answer's body may name more tags,
/// any invalidation may have been about those.
pub(super) fn is_outdated(holder: &LeaseHolder, cache: &Cache, rules: &RouteRules, request: &ClientRequest) -> bool {
    let ledger = cache.store.ledger();
    if ledger.position() <= holder.position {
        return false;
    }
    // A response with more tags than are kept is not stored by any replica.
    let Some(tags) = rules.known_tags(&request.parts, &request.key) else { return true };
    let about = Subject { url: request.key.url(), tags: (&tags).into() };
    rules.reads_tags() || ledger.check(&about, holder.position) != Validity::Valid
}
