//! Errors that a field of one request may have caused.

use http::{HeaderMap, HeaderName, StatusCode};

use crate::key::{IdentityPart, KeyRules};
use crate::vary::VarySpec;

/// Beginnings of names that browsers, proxies, traces and the makers of clients send to every origin.
const USUAL_BEGINNINGS: [&str; 13] = [
    "accept",
    "access-control-request-",
    "cf-",
    "content-",
    "fastly-",
    "if-",
    "sec-",
    "sentry-",
    "x-amzn-",
    "x-b3-",
    "x-datadog-",
    "x-envoy-",
    "x-stainless-",
];

/// The rest of them. Those by which a client proves who it is have rules of their own.
const USUAL: [&str; 59] = [
    "authorization",
    "b3",
    "baggage",
    "cache-control",
    "cdn-loop",
    "client-cert",
    "connection",
    "cookie",
    "date",
    "device-memory",
    "dnt",
    "downlink",
    "dpr",
    "early-data",
    "ect",
    "expect",
    "forwarded",
    "from",
    "host",
    "keep-alive",
    "max-forwards",
    "origin",
    "pragma",
    "priority",
    "proxy-connection",
    "purpose",
    "range",
    "referer",
    "rtt",
    "save-data",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "viewport-width",
    "warning",
    "width",
    "x-api-key",
    "x-client-ip",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-csrf-token",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-moz",
    "x-purpose",
    "x-real-ip",
    "x-request-id",
    "x-requested-with",
    "x-trace-id",
    "x-xsrf-token",
];

/// Whether an answer is an error, and its request has a field that few send and that neither the key nor `vary` has: the origin may have refused that field,
/// which others do not send (Nguyen, Lo Iacono, Federrath: Your Cache Has Fallen, 2019). The error that a request without it gets is stored.
pub fn may_be_caused_by_unusual(rules: &KeyRules, vary: Option<&VarySpec>, request: &HeaderMap, status: StatusCode) -> bool {
    let is_error = status.is_client_error() || status.is_server_error();
    let is_keyed = |name: &HeaderName| {
        rules.headers.contains(name)
            || rules.identity.iter().any(|part| matches!(part, IdentityPart::Header(own) if own == name))
            || vary.is_some_and(|vary| vary.names().contains(name))
    };
    is_error && request.keys().any(|name| !is_usual(name.as_str()) && !is_keyed(name))
}

fn is_usual(name: &str) -> bool {
    USUAL.binary_search(&name).is_ok() || USUAL_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn is_suspicious(rules: &KeyRules, vary: Option<&VarySpec>, names: &[&'static str], status: u16) -> bool {
        let field = |name: &&'static str| (HeaderName::from_static(name), HeaderValue::from_static("x"));
        let status = StatusCode::from_u16(status).unwrap_or_default();
        may_be_caused_by_unusual(rules, vary, &names.iter().map(field).collect(), status)
    }

    #[test]
    fn the_usual_names_are_in_order() {
        assert!(USUAL.is_sorted());
    }

    #[test]
    fn an_error_to_a_request_with_an_unusual_field_may_be_caused_by_it() {
        let rules = KeyRules::default();
        for name in ["x-amz-website-redirect-location", "x-forwarded-prefix2", "x-oversized", "trailer", "x-metadata"] {
            for status in [400, 404, 405, 410, 414, 501] {
                assert!(is_suspicious(&rules, None, &["host", name], status), "{name} {status}");
            }
            assert!(!is_suspicious(&rules, None, &["host", name], 200), "{name}: it is no error");
            assert!(!is_suspicious(&rules, None, &["host", name], 301), "{name}: it is no error");
        }
    }

    #[test]
    fn an_error_to_what_everybody_sends_or_the_key_has_says_something_about_the_resource() {
        let browser = [
            "host",
            "user-agent",
            "accept",
            "accept-language",
            "accept-encoding",
            "referer",
            "cookie",
            "sec-fetch-site",
            "sec-ch-ua",
            "dnt",
            "upgrade-insecure-requests",
            "priority",
            "if-none-match",
            "x-forwarded-for",
            "traceparent",
            "x-request-id",
            "cf-ray",
        ];
        let plain = KeyRules::default();
        assert!(!is_suspicious(&plain, None, &browser, 404));
        let keyed = KeyRules { headers: vec![HeaderName::from_static("x-tenant")], ..KeyRules::default() };
        assert!(is_suspicious(&plain, None, &["x-tenant"], 404) && !is_suspicious(&keyed, None, &["x-tenant"], 404));
        let own = KeyRules { identity: vec![IdentityPart::Header(HeaderName::from_static("x-tenant"))], ..KeyRules::default() };
        assert!(!is_suspicious(&own, None, &["x-tenant"], 404));
        let vary = VarySpec::new(vec![HeaderName::from_static("x-tenant")]);
        assert!(!is_suspicious(&plain, Some(&vary), &["x-tenant"], 404));
    }
}
