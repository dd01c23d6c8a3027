//! Answers to writes that are stored for later GETs (RFC 9110 §9.3.3, §9.3.4).

use std::sync::Arc;

use http::header::CONTENT_LOCATION;
use http::{Method, StatusCode};

use crate::directives::ResponseDirectives;
use crate::head::stored::StoredHead;
use crate::key::Target;
use crate::reason::Reason;
use crate::reuse::freshness;
use crate::storing::disposition::{Disposition, Exchange, Storable, store};
use crate::uri::{resolve, same_origin};

/// Decides about a response to POST or PUT.
///
/// "Responses to POST requests are only cacheable when they include explicit freshness information and a Content-Location header field that
/// has the same value as the POST's target URI. A cached POST response can be reused to satisfy a later GET or HEAD request. In contrast,
/// a POST request cannot be satisfied by a cached POST response" (RFC 9110 §9.3.3).
///
/// "Responses to the PUT method are not cacheable" (§9.3.4). But `Content-Location` says that "the server's response contains the new
/// representation of that resource" (§8.7), and a validator that a later GET can be compared with it (§8.8); so [`Policy::store_put`] lets a
/// route keep such an answer, as that to the GET which it stands for: with status 200.
///
/// `Store` is to be kept under the key of a GET of `target`, after what the write makes invalid (RFC 9111 §4.4). What was created is there from
/// then on: status 200.
///
/// [`Policy::store_put`]: crate::Policy::store_put
pub fn on_write_response(exchange: &Exchange<'_>, target: Target<'_>) -> Disposition {
    let pass = Disposition::Pass { reason: Reason::Method, remember: false };
    let directives = ResponseDirectives::parse(exchange.headers, &exchange.policy.targeted);
    let date = crate::reuse::age::date_value(exchange.headers, exchange.response_time);
    // A route's ttl is no information of the origin's.
    let explicit = freshness::explicit(exchange.headers, &directives, date).is_some_and(|lifetime| lifetime.seconds > 0);
    let put = exchange.method == Method::PUT && exchange.policy.store_put;
    let writes = put || exchange.method == Method::POST;
    if !(writes && with_content(exchange.status) && explicit && names_itself(exchange, target)) {
        return pass;
    }
    match store(exchange) {
        Ok(Storable { kept: false, .. }) => Disposition::Pass { reason: Reason::LifetimeZero, remember: false },
        Ok(Storable { head, .. }) if put && !head.has_validator() => pass,
        Ok(Storable { head, vary, kept }) => {
            let status = if put || head.status == StatusCode::CREATED { StatusCode::OK } else { head.status };
            Disposition::Store { head: Arc::new(StoredHead { status, ..head }), vary, kept }
        }
        Err(reason) => Disposition::Pass { reason, remember: false },
    }
}

/// Whether it is a success that has the whole representation in its content: what is accepted has not been done yet (RFC 9110 §15.3.3), and
/// others have no content, or a part (§15.3.5, §15.3.6, §15.3.7).
fn with_content(status: StatusCode) -> bool {
    const WITHOUT: [StatusCode; 4] = [StatusCode::ACCEPTED, StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::PARTIAL_CONTENT];
    status.is_success() && !WITHOUT.contains(&status)
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
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::policy::Policy;
    use crate::request::RequestContext;
    use crate::time::Timestamp;

    fn stored(method: &Method, status: u16, fields: &[(&'static str, &'static str)]) -> bool {
        stored_as(&Policy { ttl: 60, ..Policy::default() }, method, status, fields).is_some()
    }

    fn stored_as(policy: &Policy, method: &Method, status: u16, fields: &[(&'static str, &'static str)]) -> Option<StatusCode> {
        let headers: HeaderMap =
            fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        let none = HeaderMap::new();
        let request = RequestContext::new(method, &none, policy, false, false);
        let at = Timestamp::from_secs(1_700_000_000);
        let exchange = Exchange {
            policy,
            request: &request,
            method,
            request_headers: &none,
            request_time: at,
            response_time: at,
            status: StatusCode::from_u16(status).unwrap(),
            headers: &headers,
        };
        let target = Target { scheme: "http", authority: "example.com", path: "/search", query: Some("q=1") };
        match on_write_response(&exchange, target) {
            Disposition::Store { head, .. } => Some(head.status),
            _ => None,
        }
    }

    #[test]
    fn rfc9110_9_3_4_put_is_stored_only_as_the_representation_itself_and_where_the_route_says_so() {
        let policy = Policy { store_put: true, ..Policy::default() };
        let (fresh, itself, etag) = (("cache-control", "max-age=60"), ("content-location", "/search?q=1"), ("etag", "\"1\""));
        let put = |status, fields: &[_]| stored_as(&policy, &Method::PUT, status, fields);
        assert_eq!(put(200, &[fresh, itself, etag]), Some(StatusCode::OK));
        assert_eq!(put(201, &[fresh, itself, ("last-modified", "Tue, 14 Nov 2023 00:00:00 GMT")]), Some(StatusCode::OK));
        for (status, fields) in [
            (200, &[fresh, itself][..]),
            (200, &[fresh, etag]),
            (200, &[itself, etag]),
            (200, &[fresh, etag, ("content-location", "/other")]),
            (200, &[("cache-control", "max-age=60, private"), itself, etag]),
            (204, &[fresh, itself, etag]),
            (409, &[fresh, itself, etag]),
        ] {
            assert_eq!(put(status, fields), None, "{status} {fields:?}");
        }
        assert!(!stored(&Method::PUT, 200, &[fresh, itself, etag]));
        assert_eq!(stored_as(&policy, &Method::PATCH, 200, &[fresh, itself, etag]), None);
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

    #[test]
    fn rfc9110_8_7_an_answer_to_post_without_the_representation_is_not_that_to_a_get() {
        let fields = [("cache-control", "max-age=60"), ("content-location", "/search?q=1")];
        let post = |status| stored_as(&Policy::default(), &Method::POST, status, &fields);
        assert_eq!([202, 204, 205, 206].map(post), [None; 4]);
        assert_eq!([200, 201, 203].map(|status| post(status).map(|status| status.as_u16())), [Some(200), Some(200), Some(203)]);
    }
}
