//! A follower's wait, and its check of the leader's answer.

use http::{HeaderMap, StatusCode};
use larder_semantics::{Decision, Reason, Timestamp, decide};
use larder_store::{KeyHash, Variant};

use super::answer::{NoAnswer, answer};
use super::flight::Following;
use super::outcome::{FetchOutcome, Own, Reply};
use crate::cache::Counted;
use crate::lookup::plan::FetchPlan;
use crate::lookup::request::ClientRequest;
use crate::outcome::Served;
use crate::service::CacheService;
use crate::steps::{Step, Stopwatch};
use crate::upstream::Upstream;

/// A follower.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Follower {
    /// Since when it has waited.
    pub(crate) began: Timestamp,
    /// Whether it may ask again where the outcome may be the fault of the leader's request: a 500 or a refusal. Then one of those who
    /// waited leads, and the others wait for that.
    pub(crate) may_try_again: bool,
}

/// Waits for the leader's fetch, and answers from its outcome.
pub(crate) async fn follow<S: Upstream>(
    service: &CacheService<S>,
    request: &ClientRequest,
    plan: &FetchPlan,
    flight: Following,
    may_try_again: bool,
) -> Result<Served<S::Body>, NoAnswer> {
    let waiting = Counted::new(&service.cache, |counters| &counters.waiting);
    let follower = Follower { began: service.cache.clock.now(), may_try_again };
    let stopwatch = Stopwatch::start(&request.parts.extensions);
    let outcome = flight.outcome_within(service.route.collapse_wait).await;
    stopwatch.stop(|| Step::Wait { leader: flight.leaders_span(), ended: outcome.is_some() });
    let Some(outcome) = outcome else {
        return Err(NoAnswer::Alone(Reason::CollapseTimeout));
    };
    drop(waiting);
    answer(service, request, plan, Reply { outcome, own: Own::Nothing }, Some(follower))
}

impl Follower {
    /// Whether it asks again after a server error, which may be the fault of the leader's request.
    pub(super) fn tries_again_after(self, status: StatusCode) -> bool {
        self.may_try_again && status == StatusCode::INTERNAL_SERVER_ERROR
    }

    /// Why an outcome is not for this request, if it is not. It is checked like any stored response: the head may forbid what the key
    /// allowed.
    pub(super) fn objection<S: Upstream>(
        self,
        service: &CacheService<S>,
        request: &ClientRequest,
        plan: &FetchPlan,
        outcome: &FetchOutcome,
    ) -> Option<NoAnswer> {
        let (ledger, now) = (service.cache.store.ledger(), service.cache.clock.now());
        let alone = || Some(NoAnswer::Alone(plan.reason));
        let (is_current, variant, head, seen) = match outcome {
            // A response that arrived while this request waited is new to it, even if it is a moment old by now.
            FetchOutcome::Fetched(pending) => (
                pending.is_current(request.key.url(), ledger),
                pending.variant.as_ref(),
                &*pending.head,
                self.began.max(pending.head.response_time),
            ),
            FetchOutcome::Arriving(pending) => {
                (pending.is_current(request.key.url(), ledger), pending.variant.as_ref(), &*pending.head, now)
            }
            FetchOutcome::Loaded(stored) | FetchOutcome::Validated { stored, is_shared: true } => {
                (stored.is_valid(ledger), stored.variant(), &stored.head, now)
            }
            FetchOutcome::Refused if self.may_try_again => return Some(NoAnswer::Anew),
            // Where the second leader is refused as well, all may be: this one waits no longer.
            FetchOutcome::Refused | FetchOutcome::NotShared | FetchOutcome::Validated { is_shared: false, .. } => return alone(),
            FetchOutcome::Failed { .. } | FetchOutcome::ServerError(_) => return None,
        };
        if !is_current {
            return Some(NoAnswer::Anew);
        }
        if let Some(variant) = variant.filter(|variant| !variant.suits(&request.parts.headers)) {
            // A fetched response shows where this request's own variant lies. A confirmed one says nothing of what the origin would answer.
            let is_known = !matches!(outcome, FetchOutcome::Validated { .. });
            return if is_known {
                Some(NoAnswer::OtherVariant(own_variant(service, request, variant, &request.parts.headers)))
            } else {
                alone()
            };
        }
        let is_usable = |head, seen| matches!(decide(&service.route.policy, &request.context, Some(head), seen), Decision::Serve { .. });
        if is_usable(head, seen) {
            return None;
        }
        // The origin may have taken longer than the lifetime that it gives (RFC 9111 §4.2.3 counts that). The response is for those who came while it
        // was fresh, and the others wait for the next one together.
        let is_over = head.is_over_on_arrival() && self.began < head.response_time;
        match is_over && !head.was_fresh(self.began) {
            false if is_over && is_usable(&head.arrived_at(self.began), self.began) => None,
            true if self.may_try_again && !head.no_cache() => Some(NoAnswer::Anew),
            _ => alone(),
        }
    }
}

/// Where a request's own variant lies, which is not the leader's.
fn own_variant<S: Upstream>(service: &CacheService<S>, request: &ClientRequest, leaders: &Variant, fields: &HeaderMap) -> KeyHash {
    let store = &service.cache.store;
    store.variant_hash(store.slot_key_of(&request.key), &Variant::of(leaders.spec.clone(), fields))
}
