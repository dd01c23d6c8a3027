//! The walk of a request that the look-up could not answer: the miss, the validation, the bypass.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use larder_semantics::{MethodKind, Reason, may_steer};
use larder_store::{KeyHash, Lookup, StoredResponse, Tags};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::state::Fetch;
use super::steps::{Elsewhere, run};
use crate::cache::Counted;
use crate::clock::{monotonic, timer_now};
use crate::collapse::answer::{NoAnswer, answer};
use crate::collapse::flight::{Join, Permit};
use crate::collapse::follow::{Follower, follow};
use crate::collapse::outcome::{FetchOutcome, Own, Reply};
use crate::error::FetchError;
use crate::lookup::looked_up::LookedUp;
use crate::lookup::plan::{FetchPlan, UpstreamMode};
use crate::lookup::request::ClientRequest;
use crate::outcome::Served;
use crate::service::CacheService;
use crate::steps::ObservedSteps;
use crate::task::detached::DetachedTask;
use crate::upstream::Upstream;

/// How often a follower whose variant differs from the leader's may join the flight of its own variant.
const MAX_JOINS: usize = 3;

/// Between the beginnings of two background refreshes of one response, and after one that brought nothing to store, at least so much time
/// passes: a slow or failing origin is not asked once per request.
pub(crate) const REFRESH_PAUSE: Duration = Duration::from_secs(1);

/// A request that needs the origin.
pub(crate) async fn fill<S: Upstream>(
    service: CacheService<S>,
    request: Arc<ClientRequest>,
    mut plan: FetchPlan,
) -> Result<Served<S::Body>, FetchError> {
    service.count(&request);
    if plan.alone || service.route.collapse_wait.is_zero() || request.context.method == MethodKind::Head {
        let elsewhere = plan.may_be_stored_elsewhere().then(|| Elsewhere { found: plan.found.clone(), until: None });
        return lead_alone(&service, &request, &plan, elsewhere).await;
    }
    let until = service.collapse_deadline();
    let mut hash = service.flight_hash(&request, &plan.found);
    for turn in 0..MAX_JOINS {
        let answer = match service.join(hash, &request) {
            Join::Lead(permit) => {
                // Another fill may have landed between the look-up and now.
                if let Some(served) = look_again(&service, &request, &mut plan) {
                    return Ok(served);
                }
                let elsewhere = plan.may_be_stored_elsewhere().then(|| Elsewhere { found: plan.found.clone(), until });
                lead(&service, &request, &plan, Some(permit), elsewhere, turn == 0).await
            }
            // The other fetch's answer is not the origin's answer to this request.
            Join::Follow(_) if plan.origin_only => break,
            Join::Follow(flight) => follow(&service, &request, &plan, flight, turn == 0).await,
        };
        match answer {
            Ok(served) => return Ok(served),
            Err(NoAnswer::Failed(error)) => return Err(error),
            Err(NoAnswer::OtherVariant(own)) => hash = apart(&request, own),
            // The next join starts a newer one.
            Err(NoAnswer::Anew) => {}
            Err(NoAnswer::Alone(reason)) => {
                plan.reason = reason;
                break;
            }
        }
    }
    // The leader's answer may have left a mark for the key, and what was found at first may be purged: it must not be validated.
    if let Some(served) = look_again(&service, &request, &mut plan) {
        return Ok(served);
    }
    plan.alone = true;
    // The fetch that took too long was this replica's; another one may have had more luck meanwhile.
    let elsewhere = (plan.reason == Reason::CollapseTimeout).then(|| Elsewhere { found: plan.found.clone(), until });
    lead_alone(&service, &request, &plan, elsewhere).await
}

/// Renews a response in the background, one fetch at a time: where a flight is under way already, nothing is done.
pub(crate) async fn refresh<S: Upstream>(
    service: CacheService<S>,
    request: Arc<ClientRequest>,
    stored: Arc<StoredResponse>,
    _slot: Counted,
) {
    let found = Lookup::Found(Arc::clone(&stored));
    let hash = service.flight_hash(&request, &found);
    let Join::Lead(permit) = service.join(hash, &request) else { return };
    // Another refresh may have landed since this one was called for.
    if !matches!(service.stored_for(&request), Lookup::Found(current) if Arc::ptr_eq(&current, &stored)) {
        return;
    }
    in_background(&service, ClientRequest::to_store(request), found, permit).await;
    // Whatever came back, if it did not take the place of `stored` it will hardly do so at once.
    stored.postpone_refresh(service.cache.clock.now().after(REFRESH_PAUSE));
}

/// Fetches for the store alone.
pub(crate) async fn in_background<S: Upstream>(service: &CacheService<S>, request: Arc<ClientRequest>, found: Lookup, permit: Permit) {
    // There is no reader: one that takes nothing would hold up a body too large to be stored.
    let (reply, _) = oneshot::channel();
    let mut fetch = Fetch::new(service, request, &found, UpstreamMode::Whole, Some(permit));
    fetch.in_background = true;
    let elsewhere = Elsewhere { found, until: service.collapse_deadline() };
    run(service.clone(), fetch, Some(elsewhere), reply).await;
}

/// Requests with credentials wait for each other only: their answers are mostly for one client each, and a crowd that waited for such a one
/// would then ask all at once. So do those that the origin may take for requests for another resource, whose errors say nothing to others.
fn apart(request: &ClientRequest, key: KeyHash) -> KeyHash {
    const CREDENTIALS: KeyHash = 0x9e37_79b9_7f4a_7c15;
    const STEERED: KeyHash = 0xc2b2_ae3d_27d4_eb4f;
    let key = if request.context.has_credentials() { key ^ CREDENTIALS } else { key };
    if may_steer(&request.parts.headers) { key ^ STEERED } else { key }
}

/// Looks whether the store has an answer by now, and otherwise brings the plan up to date.
fn look_again<S: Upstream>(service: &CacheService<S>, request: &ClientRequest, plan: &mut FetchPlan) -> Option<Served<S::Body>> {
    if plan.origin_only {
        return None;
    }
    match service.look_up_again(request) {
        LookedUp::Hit(hit) if !hit.wants_refresh => Some(hit.served(&request.context, &request.parts.headers, &service.cache.in_flight)),
        LookedUp::PartHit(served) => Some(*served),
        // The request waits for the origin anyway, whose answer is better than a stale one.
        LookedUp::Hit(hit) => {
            plan.found = Lookup::Found(hit.stored);
            None
        }
        LookedUp::Fetch(newer) => {
            plan.renew(newer);
            None
        }
        LookedUp::GatewayTimeout(_) => None,
    }
}

/// Fetches for this request and those that follow it, and says how long the origin took. With `elsewhere`, other replicas are asked before; the
/// origin may not be needed then. Where another replica's answer was waited for and is for none of them, this request goes on as a follower
/// does, which `may_try_again`.
async fn lead<S: Upstream>(
    service: &CacheService<S>,
    request: &Arc<ClientRequest>,
    plan: &FetchPlan,
    permit: Option<Permit>,
    elsewhere: Option<Elsewhere>,
    may_try_again: bool,
) -> Result<Served<S::Body>, NoAnswer> {
    let started = monotonic();
    let (began, reply) = (service.cache.clock.now(), fetch(service, request, plan, permit, elsewhere).await);
    let follower = matches!(reply.own, Own::Elsewhere).then_some(Follower { began, may_try_again });
    let mut served = answer(service, request, plan, reply, follower)?;
    if follower.is_none() {
        served.outcome.upstream = served.outcome.forward.map(|_| monotonic().saturating_duration_since(started));
    }
    Ok(served)
}

/// Fetches for this request alone.
async fn lead_alone<S: Upstream>(
    service: &CacheService<S>,
    request: &Arc<ClientRequest>,
    plan: &FetchPlan,
    elsewhere: Option<Elsewhere>,
) -> Result<Served<S::Body>, FetchError> {
    lead(service, request, plan, None, elsewhere, false).await.map_err(|no_answer| match no_answer {
        NoAnswer::Failed(error) => error,
        // These are for followers: a leader gets what it fetched.
        NoAnswer::OtherVariant(_) | NoAnswer::Anew | NoAnswer::Alone(_) => FetchError::lost(),
    })
}

/// Fetches. The fetch continues without a client that leaves.
async fn fetch<S: Upstream>(
    service: &CacheService<S>,
    request: &Arc<ClientRequest>,
    plan: &FetchPlan,
    permit: Option<Permit>,
    elsewhere: Option<Elsewhere>,
) -> Reply<S::Body> {
    let (reply, outcome) = oneshot::channel();
    let fetch = Fetch::new(service, Arc::clone(request), &plan.found, plan.mode(request), permit);
    let task = DetachedTask::new(run(service.clone(), fetch, elsewhere, reply));
    let lost = || FetchOutcome::Failed { error: FetchError::lost(), stored: None };
    task.run_until(outcome).await.unwrap_or_else(|_| Reply { outcome: lost(), own: Own::Nothing })
}

impl<S: Upstream> CacheService<S> {
    /// The URI as it goes to the inner service where the answer is for one client: as sent, less the bypass parameter.
    pub(crate) fn upstream_uri(&self, uri: &Uri) -> Uri {
        self.route.key.query.without_bypass(uri).unwrap_or_else(|| uri.clone())
    }

    /// The time until which a request that comes now waits, where other replicas may have to be waited for.
    fn collapse_deadline(&self) -> Option<Instant> {
        if self.cache.tiers.is_empty() { None } else { timer_now().checked_add(self.route.collapse_wait) }
    }

    /// Counts a request for which nothing stored will do, where the route wants to know how often that is.
    pub(super) fn count(&self, request: &ClientRequest) {
        if self.route.policy.min_hits > 1 {
            let hash = self.cache.store.slot_key_of(&request.key).hash;
            self.cache.requests.add(hash, self.cache.clock.now());
        }
    }

    /// How many requests there have been for which nothing stored would do, as far as they are counted.
    pub(crate) fn requests_for(&self, request: &ClientRequest) -> u32 {
        let hash = self.cache.store.slot_key_of(&request.key).hash;
        self.cache.requests.of(hash, self.cache.clock.now())
    }

    /// Where a request's flight is.
    pub(crate) fn flight_hash(&self, request: &ClientRequest, found: &Lookup) -> KeyHash {
        let store = &self.cache.store;
        apart(request, store.flight_hash(store.slot_key_of(&request.key), found, &request.parts.headers))
    }

    /// Joins the flight for a request, or starts one.
    pub(crate) fn join(&self, hash: KeyHash, request: &ClientRequest) -> Join {
        let (more_tags, ledger, now) = (self.route.reads_tags(), self.cache.store.ledger(), self.cache.clock.now());
        let join = self.cache.flights.join(hash, &request.key, ledger, now, more_tags, || self.known_tags(request));
        if let Join::Lead(permit) = &join
            && let Some(span) = ObservedSteps::fetch_of(&request.parts.extensions)
        {
            permit.is_traced_as(span);
        }
        join
    }

    /// Everything that is known of an answer's tags before it is there; `None` where they are too many to be kept.
    pub(crate) fn known_tags(&self, request: &ClientRequest) -> Option<Tags> {
        self.route.known_tags(&request.parts, &request.key)
    }
}
