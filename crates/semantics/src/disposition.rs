//! What to do with a response (RFC 9111 §3, §4.3.3).

use http::{HeaderMap, Method, StatusCode};

use crate::head::StoredHead;
use crate::policy::Policy;
use crate::reason::Reason;
use crate::request::RequestContext;
use crate::time::Timestamp;
use crate::vary::VarySpec;

/// One exchange with the origin, when the head of the response is there.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The route's settings.
    pub policy: &'a Policy,
    /// The client's request as the cache saw it.
    pub request: &'a RequestContext,
    /// The client's request method.
    pub method: &'a Method,
    /// The client's request fields.
    pub request_headers: &'a HeaderMap,
    /// When the request went out: `request_time` (§4.2.3).
    pub request_time: Timestamp,
    /// When the head arrived: `response_time` (§4.2.3).
    pub response_time: Timestamp,
    /// The response's status.
    pub status: StatusCode,
    /// The response's fields as received.
    pub headers: &'a HeaderMap,
}

/// What to do with a response.
#[derive(Clone, Debug)]
pub enum Disposition {
    /// Store it, once its body is proven complete.
    Store {
        /// The head to store.
        head: Box<StoredHead>,
        /// The selecting fields (§4.1); `None` without `Vary`.
        vary: Option<VarySpec>,
    },
    /// A 304 that selects `candidates[index]`: that stored response with its fields updated (§4.3.4). Its body stays.
    Freshen {
        /// Which of the candidates.
        index: usize,
        /// Its head, updated.
        head: Box<StoredHead>,
    },
    /// A 304 to our conditional request that selects nothing stored: ask again without conditions.
    Refetch {
        /// Why.
        reason: Reason,
    },
    /// An error that a stored response may stand in for (`candidates[0]`; RFC 5861 §4).
    ServeStale {
        /// Current age in seconds.
        age: u32,
        /// Why.
        reason: Reason,
    },
    /// Give it to this client and keep nothing.
    Pass {
        /// Why.
        reason: Reason,
        /// Whether the key should be remembered as not worth waiting for (Varnish's hit-for-miss).
        remember: bool,
    },
}

/// Decides about a response. `candidates` are the stored responses whose validators went out, the selected one first; empty where none did.
pub fn on_response(exchange: &Exchange<'_>, candidates: &[&StoredHead]) -> Disposition {
    let _ = (exchange, candidates);
    Disposition::Pass { reason: Reason::NotStored, remember: false }
}
