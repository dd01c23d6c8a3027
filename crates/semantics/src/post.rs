//! Answers to POST that are stored for later GETs (RFC 9110 §9.3.3).

use http::Method;
use http::header::CONTENT_LOCATION;

use crate::directives::ResponseDirectives;
use crate::disposition::{Disposition, Exchange, store};
use crate::freshness;
use crate::key::Target;
use crate::reason::Reason;
use crate::uri::{resolve, same_origin};

/// Decides about a response to POST. "Responses to POST requests are only cacheable when they include explicit freshness information and a
/// Content-Location header field that has the same value as the POST's target URI. A cached POST response can be reused to satisfy a later
/// GET or HEAD request. In contrast, a POST request cannot be satisfied by a cached POST response."
///
/// `Store` is to be kept under the key of a GET of `target`, after what the POST makes invalid (RFC 9111 §4.4).
pub fn on_post_response(exchange: &Exchange<'_>, target: Target<'_>) -> Disposition {
    let pass = |reason| Disposition::Pass { reason, remember: false };
    let directives = ResponseDirectives::parse(exchange.headers, &exchange.policy.targeted);
    let date = crate::age::date_value(exchange.headers, exchange.response_time);
    // A route's ttl is no information of the origin's.
    let explicit = freshness::explicit(exchange.headers, &directives, date).is_some_and(|lifetime| lifetime.seconds > 0);
    if exchange.method != Method::POST || !exchange.status.is_success() || !explicit || !names_itself(exchange, target) {
        return pass(Reason::Method);
    }
    match store(exchange) {
        Ok((head, vary)) => Disposition::Store { head: Box::new(head), vary },
        Err(reason) => pass(reason),
    }
}

/// Whether `Content-Location` is the target URI: then the content is "a current representation of that resource" (RFC 9110 §8.7).
fn names_itself(exchange: &Exchange<'_>, target: Target<'_>) -> bool {
    let named = exchange.headers.get(CONTENT_LOCATION).and_then(|value| value.to_str().ok());
    named
        .and_then(|reference| resolve(target, reference))
        .is_some_and(|found| same_origin(target, found.target()) && found.path == target.path && found.query.as_deref() == target.query)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

    use super::*;
    use crate::policy::Policy;
    use crate::request::RequestContext;
    use crate::time::Timestamp;

    fn stored(method: &Method, status: u16, fields: &[(&'static str, &'static str)]) -> bool {
        let headers: HeaderMap =
            fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        let (policy, none) = (Policy { ttl: 60, ..Policy::default() }, HeaderMap::new());
        let request = RequestContext::new(method, &none, &policy, false, false);
        let at = Timestamp::from_secs(1_700_000_000);
        let exchange = Exchange {
            policy: &policy,
            request: &request,
            method,
            request_headers: &none,
            request_time: at,
            response_time: at,
            status: StatusCode::from_u16(status).unwrap(),
            headers: &headers,
        };
        let target = Target { scheme: "http", authority: "example.com", path: "/search", query: Some("q=1") };
        matches!(on_post_response(&exchange, target), Disposition::Store { .. })
    }

    #[test]
    fn rfc9110_9_3_3_post_needs_a_lifetime_and_its_own_content_location() {
        let fresh = ("cache-control", "max-age=60");
        let itself = ("content-location", "/search?q=1");
        assert!(stored(&Method::POST, 200, &[fresh, itself]));
        assert!(stored(&Method::POST, 201, &[fresh, ("content-location", "http://EXAMPLE.com:80/search?q=1")]));
        assert!(!stored(&Method::POST, 200, &[fresh]));
        assert!(!stored(&Method::POST, 200, &[itself]));
        assert!(!stored(&Method::POST, 200, &[fresh, ("content-location", "/search?q=2")]));
        assert!(!stored(&Method::POST, 200, &[fresh, ("content-location", "http://other/search?q=1")]));
        assert!(!stored(&Method::POST, 200, &[("cache-control", "max-age=60, no-store"), itself]));
        assert!(!stored(&Method::POST, 400, &[fresh, itself]));
        assert!(!stored(&Method::PUT, 200, &[fresh, itself]));
    }
}
