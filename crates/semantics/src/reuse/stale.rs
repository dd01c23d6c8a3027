//! When a stale response may be served (RFC 9111 §4.2.4, RFC 5861).

use http::StatusCode;

use crate::head::stored::StoredHead;
use crate::reason::Reason;
use crate::request::RequestContext;
use crate::reuse::decide::Decision;
use crate::time::Timestamp;

/// Decides about a stored response that has been stale for `staleness` seconds.
pub(crate) fn decide(request: &RequestContext, head: &StoredHead, age: u32, staleness: u32) -> Decision {
    // "A cache MUST NOT generate a stale response if it is prohibited by an explicit in-protocol directive (e.g., by a no-cache response
    // directive, a must-revalidate response directive, or an applicable s-maxage or proxy-revalidate response directive)".
    if head.must_revalidate() {
        return Decision::Validate { reason: Reason::MustRevalidate };
    }
    // "If a value is present, then the client is willing to accept a response that has exceeded its freshness lifetime by no more than the
    // specified number of seconds" (§5.2.1.2).
    if request.directives.max_stale.is_some_and(|limit| staleness <= limit) {
        return Decision::Serve { age, reason: Reason::MaxStale };
    }
    // "Unless the max-stale request directive is also present, the client does not wish to receive a stale response" (§5.2.1.1).
    if staleness < head.stale_while_revalidate && request.directives.max_age.is_none() {
        return Decision::ServeStale { age, reason: Reason::StaleWhileRevalidate };
    }
    Decision::Validate { reason: Reason::Stale }
}

/// Whether `stale-if-error` of the response, the route or the request covers `head`: it applies "regardless of other freshness
/// information" (RFC 5861 §4), so the request's `max-age` and `min-fresh` do not count, but the prohibitions of §4.2.4 and a request's wish
/// for "successful validation" (`no-cache`) do.
pub(crate) fn on_error(request: &RequestContext, head: &StoredHead, now: Timestamp) -> bool {
    if head.no_cache() || request.directives.no_cache || !head.suits(request) {
        return false;
    }
    let window = head.stale_if_error.max(request.directives.stale_if_error.unwrap_or(0));
    match head.staleness(now) {
        None => window > 0,
        Some(staleness) => !head.must_revalidate() && staleness < window,
    }
}

/// Whether `head` may be served, fresh or stale, because the operator lets the client ask the origin no more: "A cache MUST NOT generate a stale
/// response unless it is disconnected or doing so is explicitly permitted by the client or origin server [...] or by configuration or an
/// out-of-band contract" (RFC 9111 §4.2.4). The prohibitions of that section, and a request's wish for "successful validation", count all the same.
pub(crate) fn on_limit(request: &RequestContext, head: &StoredHead, now: Timestamp) -> bool {
    if head.no_cache() || request.directives.no_cache || !head.suits(request) {
        return false;
    }
    head.staleness(now).is_none() || !head.must_revalidate()
}

/// "An error is any situation that would result in a 500, 502, 503, or 504 HTTP response status code being returned" (RFC 5861 §4).
pub fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
