//! What a look-up could not answer: the miss, the validation, the bypass, each as one walk from top to bottom.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Response, Uri};
use larder_semantics::{CacheStatus, ForwardReason, MethodKind, PrimaryKey, Reason, RequestContext};
use larder_store::{KeyHash, Lookup, StoredPart, StoredResponse, Tags};
use tokio::sync::oneshot;

use crate::body::CacheBody;
use crate::cache::Counted;
use crate::clock::monotonic;
use crate::collapse::answer::{NoAnswer, answer};
use crate::collapse::flight::{Join, Permit};
use crate::collapse::follow::follow;
use crate::collapse::outcome::{FetchOutcome, Own, Reply};
use crate::errand::Errand;
use crate::error::FetchError;
use crate::exchange::{self, Job};
use crate::look_up::LookedUp;
use crate::outcome::{CacheResult, Outcome, Served};
use crate::partial::Going;
use crate::respond;
use crate::service::CacheService;
use crate::upstream::Upstream;

/// How often a follower whose variant differs from the leader's may join the flight of its own variant.
const MAX_JOINS: usize = 3;

/// After a background refresh that brought nothing to store, no further one for this long: a failing origin is not asked once per
/// request.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);

/// A request on its way to the origin. Shared with the task that asks, which may outlive it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) parts: Parts,
    pub(crate) context: RequestContext,
    pub(crate) key: PrimaryKey,
}

impl Asked {
    /// The request whose answer can be stored: an answer to HEAD has no content.
    fn to_store(self: Arc<Self>) -> Arc<Self> {
        if self.context.method != MethodKind::Head {
            return self;
        }
        let mut parts = self.parts.clone();
        parts.method = Method::GET;
        Arc::new(Self { parts, context: RequestContext { method: MethodKind::Get, ..self.context.clone() }, key: self.key.clone() })
    }
}

/// Why a request goes to the origin, and how.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) reason: Reason,
    pub(crate) forward: ForwardReason,
    pub(crate) found: Lookup,
    going: Going,
    /// Neither waits for another request's exchange nor makes others wait for its own.
    alone: bool,
    bypass: bool,
}

impl Plan {
    /// The client set the bypass parameter: the store is not asked, but renewed.
    pub(crate) fn bypass() -> Self {
        let found = Lookup::Absent;
        Self { reason: Reason::BypassParameter, forward: ForwardReason::Bypass, found, going: Going::Whole, alone: true, bypass: true }
    }

    /// The stored response has to be validated.
    pub(crate) fn validate(reason: Reason, found: Lookup) -> Self {
        let alone = !is_collapsed(reason);
        Self { reason, forward: reason.forward(), found, going: Going::Whole, alone, bypass: false }
    }

    /// Nothing stored can be used.
    pub(crate) fn forward(reason: Reason, found: Lookup) -> Self {
        let reason = match &found {
            Lookup::HitForMiss => Reason::HitForMiss,
            Lookup::VaryMiss(_) if reason == Reason::NotStored => Reason::VaryMiss,
            Lookup::Partial(_) if reason == Reason::NotStored => Reason::Partial,
            Lookup::Unvouched(_) if reason == Reason::NotStored => Reason::Unvouched,
            _ => reason,
        };
        let alone = !matches!(reason, Reason::NotStored | Reason::VaryMiss | Reason::Unvouched);
        Self { reason, forward: reason.forward(), found, going: Going::Whole, alone, bypass: false }
    }

    /// A stored part has to be validated, or something added to it.
    pub(crate) fn about_part(reason: Reason, part: Arc<StoredPart>, going: Going) -> Self {
        Self { reason, forward: reason.forward(), found: Lookup::Partial(part), going, alone: true, bypass: false }
    }

    /// How the client's own preconditions and range go up: unchanged where nothing of the answer is likely to be kept.
    fn going(&self, asked: &Asked) -> Going {
        let reason = if matches!(self.found, Lookup::HitForMiss) { Reason::HitForMiss } else { self.reason };
        let as_sent = asked.context.directives.no_store || matches!(reason, Reason::HitForMiss | Reason::OriginPrecondition);
        if as_sent { Going::AsSent } else { self.going.clone() }
    }

    /// Takes what a later look-up found, for the reason that this request had from the start. What is asked about a part depends on the part.
    fn renew(&mut self, newer: Self) {
        match newer.found {
            Lookup::Partial(_) => *self = newer,
            found => self.found = found,
        }
    }

    /// Whether another replica may have what this one lacks. What only the origin can say is not asked of anybody else.
    fn may_be_stored_elsewhere(&self) -> bool {
        matches!(self.reason, Reason::NotStored | Reason::VaryMiss | Reason::Stale | Reason::MustRevalidate)
    }

    pub(crate) fn result(&self) -> CacheResult {
        if self.bypass { CacheResult::Bypass } else { CacheResult::Miss }
    }

    /// The origin's answer as it came.
    pub(crate) fn pass<B>(&self, asked: &Asked, response: Response<CacheBody<B>>, reason: Reason, status: CacheStatus) -> Served<B> {
        let (parts, body) = response.into_parts();
        let status = CacheStatus { fwd_status: Some(parts.status.as_u16()), detail: Some(reason.as_str()), ..status };
        let mut headers = parts.headers;
        respond::annotate(&mut headers, self.result(), &status);
        let mut outcome = Outcome::new(self.result(), reason, Some(asked.key.clone()));
        outcome.forward = Some(self.forward);
        Served { response: respond::respond(parts.status, headers, body), outcome }
    }
}

/// Whether one request's validation answers others too. What has to be validated for every request is not made to wait; nor is a client
/// that wants the origin's own word.
pub(crate) fn is_collapsed(reason: Reason) -> bool {
    matches!(reason, Reason::Stale | Reason::MustRevalidate)
}

/// A request that needs the origin.
pub(crate) async fn fill<S: Upstream>(service: CacheService<S>, asked: Arc<Asked>, mut plan: Plan) -> Result<Served<S::Body>, FetchError> {
    if plan.alone || service.route.collapse_wait.is_zero() || asked.context.method == MethodKind::Head {
        let remote = plan.may_be_stored_elsewhere();
        return lead(service, asked, plan, None, remote).await;
    }
    let store = &service.cache.store;
    let mut hash = store.flight_hash(store.place_key(&asked.key), &plan.found, &asked.parts.headers);
    for turn in 0..MAX_JOINS {
        match service.join(hash, &asked) {
            Join::Lead(permit) => {
                // Another fill may have landed between the look-up and now.
                if let Some(served) = look_again(&service, &asked, &mut plan) {
                    return Ok(served);
                }
                let remote = plan.may_be_stored_elsewhere();
                return lead(service, asked, plan, Some(permit), remote).await;
            }
            Join::Follow(flight) => match follow(&service, &asked, &plan, flight, turn == 0).await {
                Ok(served) => return Ok(served),
                Err(NoAnswer::Failed(error)) => return Err(error),
                Err(NoAnswer::OtherVariant(own)) => hash = own,
                // The next join starts a newer one.
                Err(NoAnswer::Anew) => {}
                Err(NoAnswer::Alone(reason)) => {
                    plan.reason = reason;
                    // Whoever was followed may have left word about the key.
                    if let Some(served) = look_again(&service, &asked, &mut plan) {
                        return Ok(served);
                    }
                    break;
                }
            },
        }
    }
    plan.alone = true;
    // The fetch that took too long was this replica's; another one may have had more luck meanwhile.
    let remote = plan.reason == Reason::CollapseTimeout;
    lead(service, asked, plan, None, remote).await
}

/// Renews a stale response in the background. One at a time: whoever finds a flight under way leaves it at that.
pub(crate) async fn refresh<S: Upstream>(service: CacheService<S>, asked: Arc<Asked>, stored: Arc<StoredResponse>, _turn: Counted) {
    let store = &service.cache.store;
    let found = Lookup::Found(Arc::clone(&stored));
    let hash = store.flight_hash(store.place_key(&asked.key), &found, &asked.parts.headers);
    let Join::Lead(permit) = service.join(hash, &asked) else { return };
    // Another refresh may have landed since this one was called for.
    if !matches!(service.stored_for(&asked), Lookup::Found(current) if Arc::ptr_eq(&current, &stored)) {
        return;
    }
    in_background(&service, Asked::to_store(asked), found, permit).await;
    // Whatever came back, if it did not take the place of `stored` it will hardly do so at once.
    let pause = service.cache.clock.now().as_millis().saturating_add(REFRESH_PAUSE.as_millis() as u64);
    stored.postpone_refresh(larder_semantics::Timestamp::from_millis(pause));
}

/// Fetches for the store alone.
pub(crate) async fn in_background<S: Upstream>(service: &CacheService<S>, asked: Arc<Asked>, found: Lookup, permit: Permit) {
    // Nobody is there to read the answer: a reader that takes nothing would hold up a body too large to be stored.
    let (reply, _) = oneshot::channel();
    let mut job = Job::new(service, asked, &found, Going::Whole, Some(permit));
    job.in_background = true;
    exchange::run(service.clone(), job, Some(found), reply).await;
}

/// Looks whether the store has an answer by now, and otherwise brings the plan up to date.
fn look_again<S: Upstream>(service: &CacheService<S>, asked: &Asked, plan: &mut Plan) -> Option<Served<S::Body>> {
    match service.look_up_again(asked) {
        LookedUp::Hit(hit) if !hit.wants_refresh => Some(hit.served(&asked.context, &asked.parts.headers, &service.cache.in_flight)),
        LookedUp::PartHit(served) => Some(*served),
        // It waits for the origin as it is, and what it brings is better than what is stale.
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

/// Fetches, and says how long the origin took. With `remote`, other replicas are asked before; the origin may not be needed then.
async fn lead<S: Upstream>(
    service: CacheService<S>,
    asked: Arc<Asked>,
    plan: Plan,
    permit: Option<Permit>,
    remote: bool,
) -> Result<Served<S::Body>, FetchError> {
    let started = monotonic();
    let mut served = fetch(service, asked, plan, permit, remote).await?;
    served.outcome.upstream = served.outcome.forward.map(|_| monotonic().saturating_duration_since(started));
    Ok(served)
}

/// Fetches. What is under way goes on without a client that leaves.
async fn fetch<S: Upstream>(
    service: CacheService<S>,
    asked: Arc<Asked>,
    plan: Plan,
    permit: Option<Permit>,
    remote: bool,
) -> Result<Served<S::Body>, FetchError> {
    let (reply, outcome) = oneshot::channel();
    let job = Job::new(&service, Arc::clone(&asked), &plan.found, plan.going(&asked), permit);
    let elsewhere = remote.then(|| plan.found.clone());
    let errand = Errand::new(exchange::run(service.clone(), job, elsewhere, reply));
    let lost = || FetchOutcome::Failed { error: FetchError::new("the exchange with the upstream was lost"), stored: None };
    let reply = errand.bring(outcome).await.unwrap_or_else(|_| Reply { outcome: lost(), own: Own::Nothing });
    answer(&service, &asked, &plan, reply, None).map_err(|no_answer| match no_answer {
        NoAnswer::Failed(error) => error,
        // These are for followers: a leader gets what it fetched.
        NoAnswer::OtherVariant(_) | NoAnswer::Anew | NoAnswer::Alone(_) => FetchError::new("the fetch has no answer for its client"),
    })
}

/// The member of `Cache-Status` for what was forwarded.
pub(crate) fn forwarded(reason: Reason, forward: ForwardReason) -> CacheStatus {
    CacheStatus { fwd: Some(forward), ..detail(reason) }
}

pub(crate) fn detail(reason: Reason) -> CacheStatus {
    // The commonest reasons are said by `fwd` already.
    let plain = matches!(reason, Reason::Fresh | Reason::NotStored | Reason::VaryMiss | Reason::Stale | Reason::Collapsed);
    CacheStatus { detail: (!plain).then_some(reason.as_str()), ..CacheStatus::default() }
}

impl<S: Upstream> CacheService<S> {
    /// The URI as it goes to the inner service: as sent, less the bypass parameter.
    pub(crate) fn upstream_uri(&self, uri: &Uri) -> Uri {
        self.route.key.query.without_bypass(uri).unwrap_or_else(|| uri.clone())
    }

    /// Joins the flight for a request, or starts one.
    pub(crate) fn join(&self, hash: KeyHash, asked: &Asked) -> Join {
        let more_tags = !self.route.tags.in_response().is_empty();
        self.cache.flights.join(hash, &asked.key, self.cache.store.ledger(), self.cache.clock.now(), more_tags, || self.known_tags(asked))
    }

    /// Everything that is known of an answer's tags before it is there; `None` where they are too many to be kept.
    pub(crate) fn known_tags(&self, asked: &Asked) -> Option<Tags> {
        self.route.known_tags(&asked.parts, &asked.key)
    }
}
