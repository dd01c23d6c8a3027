//! The decision about a response (RFC 9111 §3, §4.3.3).

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};

use crate::directives::ResponseDirectives;
use crate::head::stored::StoredHead;
use crate::policy::Policy;
use crate::reason::Reason;
use crate::request::RequestContext;
use crate::reuse::freshness;
use crate::reuse::set_aside::counted;
use crate::reuse::stale;
use crate::storing::assemble::{Parts, assemble};
use crate::storing::freshen;
use crate::storing::storage;
use crate::storing::unkeyed;
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

impl<'a> Exchange<'a> {
    pub(crate) fn parts<'b>(&'b self, directives: &'b ResponseDirectives) -> Parts<'b>
    where
        'a: 'b,
    {
        Parts {
            policy: self.policy,
            request: self.request,
            request_time: self.request_time,
            response_time: self.response_time,
            status: self.status,
            headers: self.headers,
            directives,
        }
    }
}

/// A stored response with its fields updated by a 304 (§4.3.4). Its body stays.
#[derive(Clone, Debug)]
pub struct Freshened {
    /// Which of the candidates.
    pub index: usize,
    /// Its head, updated.
    pub head: Box<StoredHead>,
    /// Its selecting fields (§4.1), which the 304 may have changed; `None` without `Vary`.
    pub vary: Option<VarySpec>,
    /// Whether it may still be kept. `false` where the 304 says that it must not be stored (`no-store`, `private`): it answers this
    /// request, and then goes.
    pub keep: bool,
}

/// The decision about a response.
#[derive(Clone, Debug)]
pub enum Disposition {
    /// Store it, once its body is proven complete.
    Store {
        /// The head to store, shared by all that the answer goes to.
        head: Arc<StoredHead>,
        /// The selecting fields (§4.1); `None` without `Vary`.
        vary: Option<VarySpec>,
        /// `false`: the time that the origin took has used up its lifetime ([`Reason::LifetimeZero`]). It is for the requests that wait for it, and
        /// not stored. The next ones may wait for each other all the same.
        kept: bool,
    },
    /// A 304 that selects stored responses (§4.3.4).
    Freshen {
        /// The one that answers this request.
        answer: Freshened,
        /// The others that have the same strong validator: they are updated too.
        others: Vec<Freshened>,
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

/// Decides about a response to `GET` or `HEAD`. `candidates` are the stored responses that were to be validated, the selected one first;
/// the validators of those that have any went out ([`crate::validation::upstream_fields`]). Empty where none was.
pub fn on_response(exchange: &Exchange<'_>, candidates: &[&StoredHead]) -> Disposition {
    let pass = |reason| Disposition::Pass { reason, remember: storage::worth_remembering(reason, exchange.status) };
    if !exchange.request.method.reads() {
        return pass(Reason::Method);
    }
    // §4.3.3, "A 304 (Not Modified) response status code indicates that the stored response can be updated and reused".
    if exchange.status == StatusCode::NOT_MODIFIED {
        return freshen::on_not_modified(exchange, candidates);
    }
    // "If a cache receives a 5xx (Server Error) response while attempting to validate a response, it can either forward this response to
    // the requesting client or act as if the server failed to respond. In the latter case, the cache can send a previously stored
    // response, subject to its constraints on doing so" (§4.3.3).
    if let (true, Some(selected)) = (stale::is_error(exchange.status), candidates.first())
        && let Some((age, reason)) =
            crate::reuse::decide::serve_on_error(exchange.policy, exchange.request, selected, exchange.response_time)
    {
        return Disposition::ServeStale { age, reason };
    }
    // "A full response (i.e., one containing content) indicates that none of the stored responses nominated in the conditional request are
    // suitable" (§4.3.3).
    if exchange.method != Method::GET {
        return pass(Reason::Head);
    }
    match store(exchange) {
        Ok(Storable { head, vary, kept }) => Disposition::Store { head: Arc::new(head), vary, kept },
        // A response that is stored for others stays when a client with credentials gets one of its own.
        Err(reason @ (Reason::Authorization | Reason::Cookie)) if !candidates.is_empty() => Disposition::Pass { reason, remember: false },
        Err(reason) => pass(reason),
    }
}

/// A response that may be stored. See [`Disposition::Store`].
pub(crate) struct Storable {
    pub(crate) head: StoredHead,
    pub(crate) vary: Option<VarySpec>,
    pub(crate) kept: bool,
}

/// The head to store of a complete response, and its selecting fields; or why it is not stored.
pub(crate) fn store(exchange: &Exchange<'_>) -> Result<Storable, Reason> {
    // First, since whatever the answer says may be about another resource than the stored one.
    unkeyed::check(exchange.request_headers, exchange.status)?;
    let directives = counted(exchange.policy, exchange.status, exchange.headers);
    storage::permitted(exchange.policy, exchange.request, exchange.status, exchange.headers, &directives)?;
    let vary = VarySpec::on_route(exchange.policy, exchange.headers).ok_or(Reason::VaryStar)?;
    let head = assemble(&exchange.parts(&directives));
    if let Some(reason) = head.objection(exchange.request) {
        return Err(reason);
    }
    let named = freshness::explicit(exchange.headers, &directives, head.date()).is_some();
    let kept = match storage::useful(exchange.status, named, &directives, &head, exchange.request) {
        Err(Reason::LifetimeZero) if storage::is_over_by_delay(exchange, &head) => false,
        useful => useful.map(|()| true)?,
    };
    Ok(Storable { head, vary: (!vary.names().is_empty()).then_some(vary), kept })
}
