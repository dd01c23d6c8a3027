//! The decision about a request for which a part is stored (RFC 9111 §3.3): "A cache MUST NOT use an incomplete response to answer requests
//! unless the response has been made complete, or the request is partial and specifies a range wholly within the incomplete response."

use std::sync::Arc;

use http::HeaderMap;
use larder_semantics::range::PartialUse;
use larder_semantics::range::{Answer, answer_ranged};
use larder_semantics::{CacheStatus, Decision, MethodKind, Reason, RequestContext, Timestamp, decide};
use larder_store::{Lookup, StoredPart};

use super::plan::{FetchPlan, UpstreamMode, detail};
use crate::body::log::InFlight;
use crate::lookup::looked_up::LookedUp;
use crate::outcome::{CacheResult, Outcome, Served};
use crate::respond;
use crate::rules::RouteRules;

/// Decides about a request for which a part is stored.
pub(crate) fn consider<B>(
    rules: &RouteRules,
    context: &RequestContext,
    fields: &HeaderMap,
    part: &Arc<StoredPart>,
    in_flight: &Arc<InFlight>,
    now: Timestamp,
) -> LookedUp<B> {
    let about = |head| match decide(&rules.policy, context, head, now) {
        Decision::Forward { reason } => Err(LookedUp::Fetch(FetchPlan::forward(reason, Lookup::Partial(Arc::clone(part))))),
        Decision::GatewayTimeout { reason } => Err(LookedUp::GatewayTimeout(reason)),
        decision => Ok(decision),
    };
    // Nothing stored is good for a request for the whole, so this is never `Ok`.
    let as_miss = || about(None).err().unwrap_or(LookedUp::GatewayTimeout(Reason::OnlyIfCached));
    if !context.range || context.method != MethodKind::Get {
        return as_miss();
    }
    let decision = match about(Some(&part.meta.head)) {
        Ok(decision) => decision,
        Err(other) => return other,
    };
    match (decision, part.meta.answer(context, fields)) {
        (Decision::Serve { age, reason }, PartialUse::Answer(answer)) => match hit(part, &answer, in_flight, age, reason, now) {
            Some(served) => LookedUp::PartHit(Box::new(served)),
            None => as_miss(),
        },
        (decision, PartialUse::Answer(_)) => ask(decision.reason(), part, UpstreamMode::RevalidatePart(Arc::clone(part))),
        (_, PartialUse::Fetch { .. }) if context.directives.only_if_cached => LookedUp::GatewayTimeout(Reason::OnlyIfCached),
        (_, PartialUse::Fetch { missing }) => match answer_ranged(context, fields, &part.meta.head, part.meta.complete_length) {
            Answer::Partial(partial) => match partial.ranges[..] {
                [wanted] if missing.length() <= rules.max_object => {
                    ask(Reason::Partial, part, UpstreamMode::FillRange { part: Arc::clone(part), wanted, missing })
                }
                _ => ask(Reason::Partial, part, UpstreamMode::Verbatim),
            },
            _ => as_miss(),
        },
    }
}

fn ask<B>(reason: Reason, part: &Arc<StoredPart>, mode: UpstreamMode) -> LookedUp<B> {
    LookedUp::Fetch(FetchPlan::about_part(reason, Arc::clone(part), mode))
}

fn hit<B>(part: &StoredPart, answer: &Answer, in_flight: &Arc<InFlight>, age: u32, reason: Reason, now: Timestamp) -> Option<Served<B>> {
    let mut response = respond::from_part(answer, part, in_flight, age)?;
    let ttl = part.meta.head.ttl(now);
    let status = CacheStatus { hit: true, ttl: Some(ttl), ..detail(reason) };
    respond::annotate(response.headers_mut(), CacheResult::Hit, &status);
    let mut outcome = Outcome::new(CacheResult::Hit, reason, Some(part.key.clone()));
    outcome.stale = ttl <= 0;
    Some(Served { response, outcome })
}
