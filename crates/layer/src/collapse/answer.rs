//! The answer that a client gets of a fetch, whether the fetch was its own or it waited for another's.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::AGE;
use http::{HeaderMap, StatusCode, response};
use larder_semantics::content::Asked;
use larder_semantics::{CacheStatus, Reason, Timestamp, serve_on_error, serve_on_limit};
use larder_store::{KeyHash, StoredResponse};

use super::follow::Follower;
use super::outcome::{FetchOutcome, Own, Reply, add_own};
use crate::body::pending::{PendingReader, PendingResponse};
use crate::cache::Cache;
use crate::error::{FetchError, FetchErrorKind};
use crate::lookup::plan::{FetchPlan, forwarded};
use crate::lookup::request::ClientRequest;
use crate::outcome::{CacheResult, Outcome, Served};
use crate::respond::{self, OriginFields};
use crate::service::CacheService;
use crate::upstream::Upstream;

/// Why a fetch brought a request no answer.
pub(crate) enum NoAnswer {
    /// The fetch failed for all.
    Failed(FetchError),
    /// The leader's variant is not this follower's; this is where its own lies.
    OtherVariant(KeyHash),
    /// The leader's answer was invalidated before it was there, or may be the fault of its request: one of those who waited asks again.
    Anew,
    /// The leader's answer is not for this follower.
    Alone(Reason),
}

/// Answers a request from the outcome of a fetch: the client whose fetch it was, or a `follower` that waited for it, here or elsewhere.
pub(crate) fn answer<S: Upstream>(
    service: &CacheService<S>,
    request: &ClientRequest,
    plan: &FetchPlan,
    Reply { outcome, own }: Reply<S::Body>,
    follower: Option<Follower>,
) -> Result<Served<S::Body>, NoAnswer> {
    if let Some(objection) = follower.and_then(|follower| follower.objection(service, request, plan, &outcome)) {
        return Err(objection);
    }
    let own = match own {
        Own::Limited { error, stored } => return limited(service, request, error, stored),
        own => own,
    };
    let collapsed = follower.is_some();
    let reason = if collapsed { Reason::Collapsed } else { plan.reason };
    let status = CacheStatus { collapsed, ..forwarded(reason, plan.forward) };
    let from_replica = CacheStatus { collapsed, ..CacheStatus::default() };
    let (upstream_status, is_from_replica) = (own.upstream_status(), outcome.is_from_replica());
    // A follower's own stored response comes before the leader's.
    let is_own = collapsed && !matches!(own, Own::Elsewhere);
    let stand_in = |stored: Option<Arc<StoredResponse>>| plan.found.response().filter(|_| is_own).cloned().or(stored);
    let mut served = match (outcome, own) {
        (FetchOutcome::Fetched(pending), Own::Head { head, reader }) => {
            let served = leaders_answer(request, head, &pending, reader, status, plan.result());
            Served { outcome: Outcome { reason: plan.reason, ..served.outcome }, ..served }
        }
        (FetchOutcome::Fetched(pending), _) => match pending.body.reader() {
            Some(reader) => pending_answer(request, &pending, reader, None, &status, CacheResult::Miss),
            None => return Err(NoAnswer::Alone(plan.reason)),
        },
        (FetchOutcome::Arriving(pending), own) => {
            let reader = if let Own::Reader(reader) = own { Some(reader) } else { pending.body.reader() };
            let Some(reader) = reader else { return Err(NoAnswer::Alone(plan.reason)) };
            arriving(request, &pending, reader, from_replica, service.cache.clock.now())
        }
        (FetchOutcome::Loaded(stored), _) => loaded(request, &stored, from_replica, &service.cache),
        (FetchOutcome::Validated { stored, .. }, own) => {
            let mut served = validated(request, &stored, status, &service.cache);
            if let Own::Fields(fields) = own {
                add_own(served.response.headers_mut(), fields);
            }
            served
        }
        (FetchOutcome::Failed { error, stored }, _) => {
            let stale = stand_in(stored).and_then(|stored| stale_instead(service, request, &stored, status, Reason::StaleIfError));
            return stale.ok_or(NoAnswer::Failed(error));
        }
        (_, Own::Response { response, reason }) => plan.pass(request, response, reason, status),
        (_, Own::Part(part)) => part.serve(request, plan.result(), plan.reason, status),
        (FetchOutcome::ServerError(error), own) => {
            let with_code = CacheStatus { fwd_status: Some(error.status.as_u16()), ..status.clone() };
            let stale =
                stand_in(error.stored.clone()).and_then(|stored| stale_instead(service, request, &stored, with_code, Reason::StaleIfError));
            match (stale, own) {
                (Some(stale), _) => stale,
                (None, Own::ServerError(response)) => plan.pass(request, response, Reason::UpstreamError, status),
                (None, _) if follower.is_some_and(|follower| follower.tries_again_after(error.status)) => return Err(NoAnswer::Anew),
                (None, _) => error.answer(request, status),
            }
        }
        (FetchOutcome::Refused | FetchOutcome::NotShared, _) => return Err(NoAnswer::Alone(plan.reason)),
    };
    if !is_from_replica {
        served.outcome.forward = Some(plan.forward);
    }
    if collapsed {
        service.cache.counters.followers.fetch_add(1, Ordering::Relaxed);
        served.outcome.collapsed = true;
    } else {
        served.outcome.upstream_status = upstream_status;
    }
    Ok(served)
}

/// The answer to a client that may not ask the origin now: the stored response, where the limit says so.
fn limited<S: Upstream>(
    service: &CacheService<S>,
    request: &ClientRequest,
    error: FetchError,
    stored: Option<Arc<StoredResponse>>,
) -> Result<Served<S::Body>, NoAnswer> {
    let may_be_stale = matches!(error.kind(), FetchErrorKind::Limited { may_be_stale: true });
    let stored = stored.filter(|_| may_be_stale);
    let status = CacheStatus { hit: true, ..CacheStatus::default() };
    let stale = stored.and_then(|stored| stale_instead(service, request, &stored, status, Reason::RateLimited));
    stale.ok_or(NoAnswer::Failed(error))
}

/// The stored response instead of an error, where that is allowed (RFC 5861 §4), or for a limit (`reason`), and it was not invalidated while the
/// origin was asked.
pub(super) fn stale_instead<S: Upstream>(
    service: &CacheService<S>,
    request: &ClientRequest,
    stored: &StoredResponse,
    status: CacheStatus,
    reason: Reason,
) -> Option<Served<S::Body>> {
    let suits = stored.variant().is_none_or(|variant| variant.suits(&request.parts.headers));
    if !suits || !stored.is_valid(service.cache.store.ledger()) {
        return None;
    }
    let now = service.cache.clock.now();
    let age = match reason {
        Reason::RateLimited => serve_on_limit(&request.context, &stored.head, now)?,
        _ => serve_on_error(&service.route.policy, &request.context, &stored.head, now)?.0,
    };
    let ttl = stored.head.ttl(now);
    let status = CacheStatus { ttl: Some(ttl), detail: Some(reason.as_str()), ..status };
    let forward = status.fwd;
    let mut served = hit(request, stored, &service.cache, age, status, reason);
    served.outcome.stale = ttl <= 0;
    served.outcome.forward = forward;
    Some(served)
}

/// The answer to the client whose fetch it was: the origin's own fields, with those that are never stored.
pub(crate) fn leaders_answer<B>(
    request: &ClientRequest,
    head: response::Parts,
    pending: &PendingResponse,
    reader: PendingReader,
    status: CacheStatus,
    result: CacheResult,
) -> Served<B> {
    let detail = if pending.kept { status.detail } else { Some(Reason::LifetimeZero.as_str()) };
    let status = CacheStatus { fwd_status: Some(head.status.as_u16()), stored: pending.kept, detail, ..status };
    let origin_fields = matches!(request.asked(), Asked::Several).then(|| OriginFields(head.headers.clone()));
    let mut served = pending_answer(request, pending, reader, Some((head.status, head.headers)), &status, result);
    origin_fields.and_then(|fields| served.response.extensions_mut().insert(fields));
    served.outcome.upstream_status = Some(head.status);
    served
}

/// An answer from a response that is on its way into the store; with the origin's `own` status and fields for the leader.
fn pending_answer<B>(
    request: &ClientRequest,
    pending: &PendingResponse,
    reader: PendingReader,
    own: Option<(StatusCode, HeaderMap)>,
    status: &CacheStatus,
    result: CacheResult,
) -> Served<B> {
    let mut response = respond::from_pending(&request.context, &request.parts.headers, pending, reader, own);
    respond::annotate(response.headers_mut(), result, status);
    let mut outcome = Outcome::new(result, Reason::Collapsed, Some(request.key.clone()));
    outcome.stored = pending.kept;
    Served { response, outcome }
}

/// An answer from a stored response that the origin just confirmed (304).
fn validated<B>(request: &ClientRequest, stored: &StoredResponse, status: CacheStatus, cache: &Cache) -> Served<B> {
    let now = cache.clock.now();
    let forward = status.fwd;
    let status = CacheStatus { fwd_status: Some(304), ttl: Some(stored.head.ttl(now)), detail: Some(Reason::Validated.as_str()), ..status };
    let mut served = hit(request, stored, cache, stored.head.age(now), status, Reason::Validated);
    served.outcome.result = CacheResult::Revalidated;
    served.outcome.forward = forward;
    served.outcome.stored = true;
    served
}

/// An answer from a stored response that another replica fetched.
fn loaded<B>(request: &ClientRequest, stored: &StoredResponse, status: CacheStatus, cache: &Cache) -> Served<B> {
    let now = cache.clock.now();
    let status = CacheStatus { hit: true, ttl: Some(stored.head.ttl(now)), ..status };
    hit(request, stored, cache, stored.head.age(now), status, Reason::Fresh)
}

/// An answer from a stored response that another replica fetched, while its body arrives.
fn arriving<B>(
    request: &ClientRequest,
    pending: &PendingResponse,
    reader: PendingReader,
    status: CacheStatus,
    now: Timestamp,
) -> Served<B> {
    let status = CacheStatus { hit: true, ttl: Some(pending.head.ttl(now)), ..status };
    let mut response = respond::from_pending(&request.context, &request.parts.headers, pending, reader, None);
    response.headers_mut().insert(AGE, pending.head.age(now).into());
    respond::annotate(response.headers_mut(), CacheResult::Hit, &status);
    Served { response, outcome: Outcome::new(CacheResult::Hit, Reason::Fresh, Some(request.key.clone())) }
}

fn hit<B>(request: &ClientRequest, stored: &StoredResponse, cache: &Cache, age: u32, status: CacheStatus, reason: Reason) -> Served<B> {
    let response = respond::from_stored(&request.context, &request.parts.headers, stored, &cache.in_flight, age, CacheResult::Hit, &status);
    Served { response, outcome: Outcome::new(CacheResult::Hit, reason, Some(request.key.clone())) }
}
