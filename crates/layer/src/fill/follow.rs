//! The follower's side of collapsed forwarding.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use larder_semantics::{CacheStatus, Decision, Reason, decide};
use larder_store::{KeyHash, StoredResponse, Variant};

use super::{Asked, Plan, arriving, confirmed, forwarded, live_answer, loaded, stale_instead};
use crate::cache::Counted;
use crate::error::FetchError;
use crate::flight::{Following, Landing};
use crate::outcome::{CacheResult, Outcome, Served};
use crate::service::CacheService;
use crate::upstream::Upstream;

/// What a follower came to.
pub(super) enum Followed<B> {
    Done(Box<Result<Served<B>, FetchError>>),
    /// The leader's variant is not this request's; this is where its own lies.
    OtherVariant(KeyHash),
    /// The leader's answer was invalidated before it was there, or may be the fault of its request: one of those who waited asks again.
    Anew,
    /// What the leader got is not for this request.
    Alone(Reason),
}

/// Waits for the leader's answer, and checks it like anyone else's: the head may forbid what the key allowed. A 500 or a refusal may be
/// the fault of the leader's request, so where a request `may_try_again` it does: one leads, and the others wait for that.
pub(super) async fn follow<S: Upstream>(
    service: &CacheService<S>,
    asked: &Asked,
    plan: &Plan,
    flight: Following,
    may_try_again: bool,
) -> Followed<S::Body> {
    let waiting = Counted::new(&service.cache, |counters| &counters.waiting);
    let began = service.cache.clock.now();
    let Some(landed) = flight.landing_within(service.route.collapse_wait).await else {
        return Followed::Alone(Reason::CollapseTimeout);
    };
    drop(waiting);
    let now = service.cache.clock.now();
    let status = CacheStatus { collapsed: true, ..forwarded(Reason::Collapsed, plan.forward) };
    let collapsed = CacheStatus { collapsed: true, ..CacheStatus::default() };
    let ledger = service.cache.store.ledger();
    let own_or = |found: Option<Arc<StoredResponse>>| plan.found.response().cloned().or(found);
    let served = match landed {
        Landing::Live(live) | Landing::Arriving(live) if !live.is_current(asked.key.url(), ledger) => return Followed::Anew,
        Landing::Confirmed(stored) | Landing::Loaded(stored) if !stored.is_valid(ledger) => return Followed::Anew,
        Landing::Live(live) => {
            if let Some(other) = other_variant(service, asked, live.variant.as_ref()) {
                return Followed::OtherVariant(other);
            }
            // What arrived while this request waited is new to it, be it a moment old by now.
            let seen = began.max(live.head.response_time);
            let usable = matches!(decide(&service.route.policy, &asked.context, Some(&live.head), seen), Decision::Serve { .. });
            let Some(reader) = live.body.reader().filter(|_| usable) else { return Followed::Alone(plan.reason) };
            live_answer(asked, &live, reader, None, &status, CacheResult::Miss)
        }
        Landing::Confirmed(stored) => {
            let usable = matches!(decide(&service.route.policy, &asked.context, Some(&stored.head), now), Decision::Serve { .. });
            let same = stored.variant().is_none_or(|variant| variant.suits(&asked.parts.headers));
            if !usable || !same {
                return Followed::Alone(plan.reason);
            }
            confirmed(asked, &stored, status, &service.cache)
        }
        Landing::Loaded(stored) => {
            let usable = matches!(decide(&service.route.policy, &asked.context, Some(&stored.head), now), Decision::Serve { .. });
            if let Some(other) = other_variant(service, asked, stored.variant()) {
                return Followed::OtherVariant(other);
            }
            if !usable {
                return Followed::Alone(plan.reason);
            }
            return from_elsewhere(service, loaded(asked, &stored, collapsed, &service.cache));
        }
        Landing::Arriving(live) => {
            if let Some(other) = other_variant(service, asked, live.variant.as_ref()) {
                return Followed::OtherVariant(other);
            }
            let usable = matches!(decide(&service.route.policy, &asked.context, Some(&live.head), now), Decision::Serve { .. });
            let Some(reader) = live.body.reader().filter(|_| usable) else { return Followed::Alone(plan.reason) };
            return from_elsewhere(service, arriving(asked, &live, reader, collapsed, now));
        }
        Landing::Failed { error, stored } => {
            let stale = own_or(stored).and_then(|stored| stale_instead(service, asked, &stored, status));
            return Followed::Done(Box::new(stale.ok_or(error)));
        }
        Landing::Refused(refusal) => {
            let stale = CacheStatus { fwd_status: Some(refusal.status.as_u16()), ..status.clone() };
            match own_or(refusal.stored.clone()).and_then(|stored| stale_instead(service, asked, &stored, stale)) {
                Some(served) => served,
                None if may_try_again && refusal.status == StatusCode::INTERNAL_SERVER_ERROR => return Followed::Anew,
                None => refusal.answer(asked, status),
            }
        }
        Landing::OfOneRequest if may_try_again => return Followed::Anew,
        // Where the second leader is refused as well, everybody may be, and waits no longer.
        Landing::OfOneRequest | Landing::NotShared => return Followed::Alone(plan.reason),
    };
    service.cache.counters.followers.fetch_add(1, Ordering::Relaxed);
    let outcome = Outcome { collapsed: true, forward: Some(plan.forward), ..served.outcome };
    Followed::Done(Box::new(Ok(Served { outcome, ..served })))
}

/// Another replica had it, and one request here has asked for all.
fn from_elsewhere<S: Upstream>(service: &CacheService<S>, mut served: Served<S::Body>) -> Followed<S::Body> {
    service.cache.counters.followers.fetch_add(1, Ordering::Relaxed);
    served.outcome.collapsed = true;
    Followed::Done(Box::new(Ok(served)))
}

/// Where a request's own variant lies, if that is not the leader's.
fn other_variant<S: Upstream>(service: &CacheService<S>, asked: &Asked, leaders: Option<&Variant>) -> Option<KeyHash> {
    let leaders = leaders.filter(|variant| !variant.suits(&asked.parts.headers))?;
    let own = Variant::of(leaders.spec.clone(), &asked.parts.headers);
    let store = &service.cache.store;
    Some(store.variant_hash(store.place_key(&asked.key), &own))
}
