//! The parts of a request that bear on caching, parsed once.

use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, PRAGMA, RANGE};
use http::{HeaderMap, Method};

use crate::directives::RequestDirectives;
use crate::policy::{ClientDirectives, CookiePolicy, Policy};

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
    /// The class of `method` (RFC 9110 §9.2.1). Methods registered as safe elsewhere (`PROPFIND`, `REPORT`, `SEARCH`, `QUERY`) do not
    /// invalidate either; an unknown one does: "a cache MUST invalidate [...] in response to an unsafe request method" and
    /// SHOULD for methods "whose safety is unknown" (RFC 9111 §4.4).
    pub fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::OPTIONS | Method::TRACE => Self::OtherSafe,
            _ => match method.as_str() {
                "PROPFIND" | "REPORT" | "SEARCH" | "QUERY" => Self::OtherSafe,
                _ => Self::Unsafe,
            },
        }
    }

    /// Whether a stored response may answer it.
    pub fn reads(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

/// A request as the cache sees it. Holds nothing of the request itself, so it outlives it.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The class of the method.
    pub method: MethodKind,
    /// `Cache-Control` and `Pragma`; empty where the route ignores them.
    pub directives: RequestDirectives,
    /// Whether credentials are there that are not part of the key: `Authorization`, or what [`crate::KeyRules::overlooks_cookies`].
    pub authorization: bool,
    /// Whether `Cookie` is there.
    pub cookies: bool,
    /// Whether there are cookies that make the answer one for this client, unless the origin says otherwise
    /// ([`CookiePolicy`], [`crate::KeyRules::has_private_cookies`]).
    pub private_cookies: bool,
    /// Whether the key carries an identity, so that the stored response is for one identity only.
    pub identified: bool,
    /// Whether any precondition (RFC 9110 §13.1) is there.
    pub conditional: bool,
    /// Whether one of them is for the origin alone (`If-Match`, `If-Unmodified-Since`).
    pub origin_conditional: bool,
    /// Whether `Range` is there.
    pub range: bool,
}

impl RequestContext {
    /// Reads the fields once. `identified` and `authorization_in_key` come from the key rules, which are to be asked about cookies as well:
    /// all are taken for private here. Allocates nothing.
    pub fn new(method: &Method, headers: &HeaderMap, policy: &Policy, identified: bool, authorization_in_key: bool) -> Self {
        let seen = Seen::in_fields(headers);
        let directed = seen.directives && policy.client_directives == ClientDirectives::Honor;
        Self {
            method: MethodKind::of(method),
            directives: if directed { RequestDirectives::parse(headers) } else { RequestDirectives::default() },
            authorization: !authorization_in_key && seen.authorization,
            cookies: seen.cookies,
            private_cookies: seen.cookies && !identified && policy.cookies != CookiePolicy::Ignore,
            identified,
            conditional: seen.origin_condition || seen.condition,
            origin_conditional: seen.origin_condition,
            range: seen.range,
        }
    }

    /// Whether something tells who asks that is not part of the key.
    pub fn has_credentials(&self) -> bool {
        self.authorization || self.private_cookies
    }
}

/// Which of the fields that matter are there. One walk over the few names of a request costs less than hashing all that might be.
#[derive(Default)]
struct Seen {
    directives: bool,
    authorization: bool,
    cookies: bool,
    origin_condition: bool,
    condition: bool,
    range: bool,
}

impl Seen {
    fn in_fields(headers: &HeaderMap) -> Self {
        let mut seen = Self::default();
        for name in headers.keys() {
            seen.directives |= *name == CACHE_CONTROL || *name == PRAGMA;
            seen.authorization |= *name == AUTHORIZATION;
            seen.cookies |= *name == COOKIE;
            seen.origin_condition |= *name == IF_MATCH || *name == IF_UNMODIFIED_SINCE;
            seen.condition |= *name == IF_NONE_MATCH || *name == IF_MODIFIED_SINCE;
            seen.range |= *name == RANGE;
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn rfc9110_9_2_1_safe_methods_do_not_invalidate() {
        let cases = [
            ("GET", MethodKind::Get),
            ("HEAD", MethodKind::Head),
            ("OPTIONS", MethodKind::OtherSafe),
            ("TRACE", MethodKind::OtherSafe),
            ("PROPFIND", MethodKind::OtherSafe),
            ("POST", MethodKind::Unsafe),
            ("PUT", MethodKind::Unsafe),
            ("DELETE", MethodKind::Unsafe),
            ("PATCH", MethodKind::Unsafe),
            ("get", MethodKind::Unsafe),
            ("FROBNICATE", MethodKind::Unsafe),
        ];
        for (method, kind) in cases {
            assert_eq!(MethodKind::of(&Method::from_bytes(method.as_bytes()).unwrap()), kind, "{method}");
        }
    }

    #[test]
    fn directives_are_read_only_where_the_route_honors_them() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
        let mut policy = Policy::default();
        assert!(RequestContext::new(&Method::GET, &headers, &policy, false, false).directives.no_store);
        policy.client_directives = ClientDirectives::Ignore;
        assert_eq!(RequestContext::new(&Method::GET, &headers, &policy, false, false).directives, RequestDirectives::default());
    }

    #[test]
    fn authorization_counts_only_where_it_is_not_in_the_key() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer t"));
        assert!(RequestContext::new(&Method::GET, &headers, &Policy::default(), false, false).authorization);
        assert!(!RequestContext::new(&Method::GET, &headers, &Policy::default(), true, true).authorization);
    }
}
