//! The outcome of a request, as data for headers, metrics, logs and tests.

use std::time::Duration;

use http::{Response, StatusCode};
use larder_semantics::reuse::told::tell;
use larder_semantics::{CacheStatus, ForwardReason, PrimaryKey, Reason};

use crate::body::CacheBody;
use crate::respond;
use crate::rules::RouteRules;

/// Where the answer came from. `X-Cache` has three words for it, metrics and log a fourth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheResult {
    /// The body came from the store, fresh or stale, and the inner service was not asked for this answer.
    Hit,
    /// The body came from the store, and the inner service was asked whether it still holds. It counts as no hit: the origin has seen it.
    Revalidated,
    /// The body came from the inner service.
    Miss,
    /// The store was not asked.
    Bypass,
}

impl CacheResult {
    /// The word in logs (nginx's `$upstream_cache_status` has it too).
    pub const fn logged(self) -> &'static str {
        match self {
            Self::Revalidated => "REVALIDATED",
            other => other.as_str(),
        }
    }

    /// The value of `X-Cache`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit | Self::Revalidated => "HIT",
            Self::Miss => "MISS",
            Self::Bypass => "BYPASS",
        }
    }
}

/// How a request was handled. The tower service leaves it in the extensions of its response, for layers around it:
///
/// ```
/// # use http::Response;
/// # use larder_tower::Outcome;
/// fn reason<B>(response: &Response<B>) -> Option<&'static str> {
///     response.extensions().get::<Outcome>().map(|outcome| outcome.reason.as_str())
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// `X-Cache`.
    pub result: CacheResult,
    /// Why.
    pub reason: Reason,
    /// `fwd` of `Cache-Status` (RFC 9211 §2.2); `None` for a hit.
    pub forward: Option<ForwardReason>,
    /// Whether it waited for another request's exchange and used its answer.
    pub collapsed: bool,
    /// Whether the response is being stored.
    pub stored: bool,
    /// Whether a stale response was served.
    pub stale: bool,
    /// The key, where one was derived.
    pub key: Option<PrimaryKey>,
    /// How long the inner service took to the head of its answer, where this request asked it.
    pub upstream: Option<Duration>,
    /// The status of its answer, where this request asked it.
    pub upstream_status: Option<StatusCode>,
}

impl Outcome {
    pub(crate) fn new(result: CacheResult, reason: Reason, key: Option<PrimaryKey>) -> Self {
        Self { result, reason, forward: None, collapsed: false, stored: false, stale: false, key, upstream: None, upstream_status: None }
    }
}

/// An answer and how it came about.
#[derive(Debug)]
#[non_exhaustive]
pub struct Served<B> {
    /// The response.
    pub response: Response<CacheBody<B>>,
    /// How the request was handled.
    pub outcome: Outcome,
}

impl<B> Served<B> {
    /// An answer that never came near the cache.
    pub fn passed(response: Response<B>, reason: Reason) -> Self {
        let mut outcome = Outcome::new(CacheResult::Bypass, reason, None);
        outcome.forward = Some(ForwardReason::Bypass);
        outcome.upstream_status = Some(response.status());
        let mut response = CacheBody::upstream(response);
        let status = CacheStatus { fwd: outcome.forward, detail: Some(reason.as_str()), ..CacheStatus::default() };
        respond::annotate(response.headers_mut(), outcome.result, &status);
        Self { response, outcome }
    }

    /// An answer by a service around the cache that refuses a request, for a `reason` that it knows.
    pub fn refused(mut response: Response<CacheBody<B>>, reason: Reason) -> Self {
        let outcome = Outcome::new(CacheResult::Bypass, reason, None);
        let status = CacheStatus { detail: Some(reason.as_str()), ..CacheStatus::default() };
        respond::annotate(response.headers_mut(), outcome.result, &status);
        Self { response, outcome }
    }

    /// The response, with the outcome in its extensions.
    pub fn into_response(mut self) -> Response<CacheBody<B>> {
        self.response.extensions_mut().insert(self.outcome);
        self.response
    }

    /// The same with what the route adds to answers: lifetimes of its own for those that are stored, and `key` in `Cache-Status` (RFC 9211
    /// §2.7), where a key was derived. Identities are in keys as hashes only. Recorded streams get their pace.
    pub(crate) fn amended(mut self, rules: &RouteRules) -> Self {
        let pace = rules.policy().replay;
        self.response = self.response.map(|body| body.paced(pace));
        if self.is_of_stored() {
            tell(rules.policy(), self.response.headers_mut(), self.outcome.stale);
        }
        if let Some(key) = self.outcome.key.as_ref().filter(|_| rules.cache_status_key) {
            respond::tell_key(self.response.headers_mut(), key.text());
        }
        self
    }

    /// Whether it is made of a response that is stored, or being stored. What only says that a request cannot be met is not.
    fn is_of_stored(&self) -> bool {
        let is_refusal = matches!(self.response.status(), StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE);
        let is_stored = self.outcome.stored || matches!(self.outcome.result, CacheResult::Hit | CacheResult::Revalidated);
        is_stored && !is_refusal
    }
}
