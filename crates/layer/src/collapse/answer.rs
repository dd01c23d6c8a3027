//! The answer that a client gets of a fetch, whether the fetch was its own or it waited for another's.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::AGE;
use http::{HeaderMap, response};
use larder_semantics::{CacheStatus, Reason, Timestamp, serve_on_error};
use larder_store::{KeyHash, StoredResponse};

use super::follow::Follower;
use super::outcome::{FetchOutcome, Own, Reply, add_own};
use crate::body::live::{Live, LiveReader};
use crate::cache::Cache;
use crate::error::FetchError;
use crate::lookup::plan::{Plan, forwarded};
use crate::lookup::request::Asked;
use crate::outcome::{CacheResult, Outcome, Served};
use crate::respond;
use crate::service::CacheService;
use crate::upstream::Upstream;

/// Why a fetch brought a request no answer.
pub(crate) enum NoAnswer {
    /// There is none for any request that waited.
    Failed(FetchError),
    /// The leader's variant is not this follower's; this is where its own lies.
    OtherVariant(KeyHash),
    /// The leader's answer was invalidated before it was there, or may be the fault of its request: one of those who waited asks again.
    Anew,
    /// What the leader got is not for this follower.
    Alone(Reason),
}

/// Answers a request from what a fetch came to: the client whose fetch it was, or a `follower` that waited for it.
pub(crate) fn answer<S: Upstream>(
    service: &CacheService<S>,
    asked: &Asked,
    plan: &Plan,
    Reply { outcome, own }: Reply<S::Body>,
    follower: Option<Follower>,
) -> Result<Served<S::Body>, NoAnswer> {
    if let Some(objection) = follower.and_then(|follower| follower.objection(service, asked, plan, &outcome)) {
        return Err(objection);
    }
    let collapsed = follower.is_some();
    let reason = if collapsed { Reason::Collapsed } else { plan.reason };
    let status = CacheStatus { collapsed, ..forwarded(reason, plan.forward) };
    let from_replica = CacheStatus { collapsed, ..CacheStatus::default() };
    let (upstream_status, is_from_replica) = (own.upstream_status(), outcome.is_from_replica());
    // A follower's own stored response comes before the leader's.
    let stand_in = |stored: Option<Arc<StoredResponse>>| plan.found.response().filter(|_| collapsed).cloned().or(stored);
    let mut served = match (outcome, own) {
        (FetchOutcome::Fetched(live), Own::Head { head, reader }) => {
            let served = leaders_answer(asked, head, &live, reader, status, plan.result());
            Served { outcome: Outcome { reason: plan.reason, ..served.outcome }, ..served }
        }
        (FetchOutcome::Fetched(live), _) => match live.body.reader() {
            Some(reader) => live_answer(asked, &live, reader, None, &status, CacheResult::Miss),
            None => return Err(NoAnswer::Alone(plan.reason)),
        },
        (FetchOutcome::Arriving(live), own) => {
            let reader = if let Own::Reader(reader) = own { Some(reader) } else { live.body.reader() };
            let Some(reader) = reader else { return Err(NoAnswer::Alone(plan.reason)) };
            arriving(asked, &live, reader, from_replica, service.cache.clock.now())
        }
        (FetchOutcome::Loaded(stored), _) => loaded(asked, &stored, from_replica, &service.cache),
        (FetchOutcome::Validated { stored, .. }, own) => {
            let mut served = validated(asked, &stored, status, &service.cache);
            if let Own::Fields(fields) = own {
                add_own(served.response.headers_mut(), fields);
            }
            served
        }
        (FetchOutcome::Failed { error, stored }, _) => {
            let stale = stand_in(stored).and_then(|stored| stale_instead(service, asked, &stored, status));
            return stale.ok_or(NoAnswer::Failed(error));
        }
        (_, Own::Response { response, reason }) => plan.pass(asked, response, reason, status),
        (_, Own::Part(part)) => part.serve(asked, plan.result(), plan.reason, status),
        (FetchOutcome::ServerError(error), own) => {
            let with_code = CacheStatus { fwd_status: Some(error.status.as_u16()), ..status.clone() };
            let stale = stand_in(error.stored.clone()).and_then(|stored| stale_instead(service, asked, &stored, with_code));
            match (stale, own) {
                (Some(stale), _) => stale,
                (None, Own::ServerError(response)) => plan.pass(asked, response, Reason::UpstreamError, status),
                (None, _) if follower.is_some_and(|follower| follower.tries_again_after(error.status)) => return Err(NoAnswer::Anew),
                (None, _) => error.answer(asked, status),
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

/// The stored response instead of an error, where that is allowed (RFC 5861 §4), and nothing made it old while the origin was asked.
fn stale_instead<S: Upstream>(
    service: &CacheService<S>,
    asked: &Asked,
    stored: &StoredResponse,
    status: CacheStatus,
) -> Option<Served<S::Body>> {
    let suits = stored.variant().is_none_or(|variant| variant.suits(&asked.parts.headers));
    if !suits || !stored.is_valid(service.cache.store.ledger()) {
        return None;
    }
    let now = service.cache.clock.now();
    let (age, reason) = serve_on_error(&service.route.policy, &asked.context, &stored.head, now)?;
    let ttl = stored.head.ttl(now);
    let status = CacheStatus { ttl: Some(ttl), detail: Some(reason.as_str()), ..status };
    let forward = status.fwd;
    let mut served = hit(asked, stored, &service.cache, age, status, reason);
    served.outcome.stale = ttl <= 0;
    served.outcome.forward = forward;
    Some(served)
}

/// The answer to the client whose fetch it was: the origin's own fields, with those that are never stored.
pub(crate) fn leaders_answer<B>(
    asked: &Asked,
    head: response::Parts,
    live: &Live,
    reader: LiveReader,
    status: CacheStatus,
    result: CacheResult,
) -> Served<B> {
    let status = CacheStatus { fwd_status: Some(head.status.as_u16()), stored: true, ..status };
    let mut served = live_answer(asked, live, reader, Some(head.headers), &status, result);
    served.outcome.upstream_status = Some(head.status);
    served
}

/// An answer from a response that is on its way into the store; with the origin's `own` fields for the leader.
fn live_answer<B>(
    asked: &Asked,
    live: &Live,
    reader: LiveReader,
    own: Option<HeaderMap>,
    status: &CacheStatus,
    result: CacheResult,
) -> Served<B> {
    let mut response = respond::from_live(&asked.context, &asked.parts.headers, live, reader, own);
    respond::annotate(response.headers_mut(), result, status);
    let mut outcome = Outcome::new(result, Reason::Collapsed, Some(asked.key.clone()));
    outcome.stored = true;
    Served { response, outcome }
}

/// An answer from a stored response that the origin just confirmed (304).
fn validated<B>(asked: &Asked, stored: &StoredResponse, status: CacheStatus, cache: &Cache) -> Served<B> {
    let now = cache.clock.now();
    let forward = status.fwd;
    let status = CacheStatus { fwd_status: Some(304), ttl: Some(stored.head.ttl(now)), detail: Some(Reason::Validated.as_str()), ..status };
    let mut served = hit(asked, stored, cache, stored.head.age(now), status, Reason::Validated);
    served.outcome.forward = forward;
    served.outcome.stored = true;
    served
}

/// An answer from a stored response that another replica fetched.
fn loaded<B>(asked: &Asked, stored: &StoredResponse, status: CacheStatus, cache: &Cache) -> Served<B> {
    let now = cache.clock.now();
    let status = CacheStatus { hit: true, ttl: Some(stored.head.ttl(now)), ..status };
    hit(asked, stored, cache, stored.head.age(now), status, Reason::Fresh)
}

/// An answer from a stored response that another replica fetched, while its body arrives.
fn arriving<B>(asked: &Asked, live: &Live, reader: LiveReader, status: CacheStatus, now: Timestamp) -> Served<B> {
    let status = CacheStatus { hit: true, ttl: Some(live.head.ttl(now)), ..status };
    let mut response = respond::from_live(&asked.context, &asked.parts.headers, live, reader, None);
    response.headers_mut().insert(AGE, live.head.age(now).into());
    respond::annotate(response.headers_mut(), CacheResult::Hit, &status);
    Served { response, outcome: Outcome::new(CacheResult::Hit, Reason::Fresh, Some(asked.key.clone())) }
}

fn hit<B>(asked: &Asked, stored: &StoredResponse, cache: &Cache, age: u32, status: CacheStatus, reason: Reason) -> Served<B> {
    let (request, fields) = (&asked.context, &asked.parts.headers);
    let response = respond::from_stored(request, fields, stored, &cache.in_flight, age, CacheResult::Hit, &status);
    Served { response, outcome: Outcome::new(CacheResult::Hit, reason, Some(asked.key.clone())) }
}
