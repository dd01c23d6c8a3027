//! What to do with a request (RFC 9111 §4).

use crate::head::StoredHead;
use crate::policy::Policy;
use crate::reason::Reason;
use crate::request::RequestContext;
use crate::time::Timestamp;

/// What to do with a request.
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
    /// Ask the origin whether the stored response is still good (§4.3).
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

/// Decides about a request, given the stored response that its key (and `Vary`) selects.
pub fn decide(policy: &Policy, request: &RequestContext, stored: Option<&StoredHead>, now: Timestamp) -> Decision {
    let _ = (policy, request);
    match stored {
        None => Decision::Forward { reason: Reason::NotStored },
        Some(head) => Decision::Serve { age: head.age(now), reason: Reason::Fresh },
    }
}

/// Whether the stored response may stand in for an error of the origin (§4.2.4, RFC 5861 §4): its age then, with the reason.
/// Errors that count: 500, 502, 503, 504, no connection, time-out.
pub fn serve_on_error(policy: &Policy, request: &RequestContext, stored: &StoredHead, now: Timestamp) -> Option<(u32, Reason)> {
    let _ = (policy, request, stored, now);
    None
}
