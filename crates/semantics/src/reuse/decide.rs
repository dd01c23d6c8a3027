//! The decision about a request (RFC 9111 §4).

use crate::head::stored::{HeadFlags, StoredHead};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::request::RequestContext;
use crate::reuse::stale;
use crate::time::Timestamp;

/// The decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Serve the stored response: it is fresh, or the client accepts it stale.
    Serve {
        /// Current age in seconds.
        age: u32,
        /// Why.
        reason: Reason,
    },
    /// Serve it stale at once, and refresh it in the background (RFC 5861 §3).
    ServeStale {
        /// Current age in seconds.
        age: u32,
        /// Why.
        reason: Reason,
    },
    /// Ask the origin whether the stored response is still good (§4.3). Also where it has no validator: the stored response then serves
    /// only if the origin fails ([`serve_on_error`]).
    Validate {
        /// Why.
        reason: Reason,
    },
    /// Forward the request: nothing stored can be used.
    Forward {
        /// Why.
        reason: Reason,
    },
    /// Answer 504: the client wants a stored response only (§5.2.1.7).
    GatewayTimeout {
        /// Why.
        reason: Reason,
    },
}

impl Decision {
    /// Why.
    pub fn reason(self) -> Reason {
        match self {
            Self::Serve { reason, .. }
            | Self::ServeStale { reason, .. }
            | Self::Validate { reason }
            | Self::Forward { reason }
            | Self::GatewayTimeout { reason } => reason,
        }
    }
}

/// Decides about a request, given the stored response that its key (and `Vary`) selects. Allocates nothing.
pub fn decide(_policy: &Policy, request: &RequestContext, stored: Option<&StoredHead>, now: Timestamp) -> Decision {
    decide_about(request, stored, false, now)
}

/// As [`decide`], for a stored response that a soft purge made stale: where it would be served as fresh, it is served as stale, and
/// refreshed in the background.
pub fn decide_soft_purged(_policy: &Policy, request: &RequestContext, stored: &StoredHead, now: Timestamp) -> Decision {
    decide_about(request, Some(stored), true, now)
}

fn decide_about(request: &RequestContext, stored: Option<&StoredHead>, soft_purged: bool, now: Timestamp) -> Decision {
    if !request.method.reads() {
        return Decision::Forward { reason: Reason::Method };
    }
    let decision = match stored {
        None => Decision::Forward { reason: Reason::Absent },
        Some(head) => reuse(request, head, soft_purged, now),
    };
    match decision {
        // "The only-if-cached request directive indicates that the client only wishes to obtain a stored response. Caches that honor this
        // request directive SHOULD, upon receiving it, respond with either a stored response consistent with the other constraints of the
        // request or a 504 (Gateway Timeout) status code" (§5.2.1.7).
        Decision::Validate { .. } | Decision::Forward { .. } if request.directives.only_if_cached => {
            Decision::GatewayTimeout { reason: Reason::OnlyIfCached }
        }
        // "A cache MUST NOT store any part of either this request or any response to it" (§5.2.1.5): a validation's 304 would be stored.
        Decision::Validate { .. } if request.directives.no_store => Decision::Forward { reason: Reason::RequestNoStore },
        decision => decision,
    }
}

/// The list of §4, from "the request method" on: the presented target URI and the selecting fields have matched already.
fn reuse(request: &RequestContext, head: &StoredHead, soft_purged: bool, now: Timestamp) -> Decision {
    // "A shared cache MUST NOT use a cached response to a request with an Authorization header field [...] unless" (§3.5). The same
    // holds the other way round: a response to a request without credentials does not answer one with credentials, unless the origin allows it.
    // So it is with cookies, where nobody but the operator names a lifetime.
    if let Some(reason) = head.objection(request) {
        return Decision::Forward { reason };
    }
    // "When recipient is the origin server and If-Match is present, evaluate the If-Match precondition" (RFC 9110 §13.2.2): a cache lets
    // the origin do it, unless it must not ask.
    if request.origin_conditional && !request.directives.only_if_cached {
        return Decision::Forward { reason: Reason::OriginPrecondition };
    }
    // "The stored response does not contain the no-cache directive, unless it is successfully validated" (§4).
    if head.no_cache() {
        return Decision::Validate { reason: Reason::ResponseNoCache };
    }
    // "The no-cache request directive indicates that the client prefers stored response not be used to satisfy the request without
    // successful validation on the origin server" (§5.2.1.4).
    if request.directives.no_cache {
        return Decision::Validate { reason: Reason::RequestNoCache };
    }
    let age = head.age(now);
    // "Proxies SHOULD skip conditionally revalidating fresh responses containing the immutable extension unless there is a signal from the
    // client that a validation is necessary (e.g., a no-cache Cache-Control request directive)" (RFC 8246 §2). A reload's max-age=0 is what
    // immutable was made against.
    let staleness = head.staleness(now);
    if head.flags.has(HeadFlags::IMMUTABLE) && staleness.is_none() && !soft_purged {
        return Decision::Serve { age, reason: Reason::Immutable };
    }
    // "The max-age request directive indicates that the client prefers a response whose age is less than or equal to the specified number
    // of seconds" (§5.2.1.1). A part of a second is more than 0 seconds: a client that reloads gets the origin's word even at once.
    if request.directives.max_age.is_some_and(|limit| age > limit || (limit == 0 && now > head.response_time)) {
        return Decision::Validate { reason: Reason::RequestMaxAge };
    }
    // "The client prefers a response whose freshness lifetime is no less than its current age plus the specified time" (§5.2.1.3).
    if request.directives.min_fresh.is_some_and(|wanted| head.lifetime.seconds < age.saturating_add(wanted)) {
        return Decision::Validate { reason: Reason::RequestMinFresh };
    }
    // "It is fresh, allowed to be served stale, or successfully validated" (§4).
    match staleness {
        None if soft_purged => Decision::ServeStale { age, reason: Reason::SoftPurged },
        None => Decision::Serve { age, reason: Reason::Fresh },
        Some(staleness) => stale::decide(request, head, age, staleness),
    }
}

/// Whether the stored response may stand in for an error of the origin (§4.2.4, RFC 5861 §4): its age then, with the reason.
/// Errors that count: 500, 502, 503, 504, no connection, time-out.
pub fn serve_on_error(_policy: &Policy, request: &RequestContext, stored: &StoredHead, now: Timestamp) -> Option<(u32, Reason)> {
    stale::on_error(request, stored, now).then(|| (stored.age(now), Reason::StaleIfError))
}

/// Whether the stored response, however stale, may stand in for an origin that the request's client may not ask now, by a limit of the operator
/// (§4.2.4): its age then.
pub fn serve_on_limit(request: &RequestContext, stored: &StoredHead, now: Timestamp) -> Option<u32> {
    stale::on_limit(request, stored, now).then(|| stored.age(now))
}
