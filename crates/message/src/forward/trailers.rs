//! The trailer fields of a request on their way to the origin (RFC 9110 §6.5).

use http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE, DATE, EXPECT, EXPIRES, HOST,
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LOCATION, MAX_FORWARDS, PRAGMA, PROXY_AUTHORIZATION, RANGE,
    RETRY_AFTER, SET_COOKIE, TRAILER, VARY, VIA, WARNING,
};
use http::{HeaderMap, HeaderName};
use larder_semantics::fields::is_hop_by_hop;

use super::claims;
use super::via::CDN_LOOP;

/// "A sender MUST NOT generate a trailer field unless the sender knows the corresponding header field name's definition permits sending
/// in trailers", and it does not for fields that "are necessary for [...] message framing, routing, authentication, request modifiers,
/// response controls, or content format" (RFC 9110 §6.5.1). An origin that merges trailers into the header would take them for words of
/// this gateway.
const NEVER_TRAILERS: [HeaderName; 28] = [
    AGE,
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    DATE,
    EXPECT,
    EXPIRES,
    HOST,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    LOCATION,
    MAX_FORWARDS,
    PRAGMA,
    PROXY_AUTHORIZATION,
    RANGE,
    RETRY_AFTER,
    SET_COOKIE,
    TRAILER,
    VARY,
    VIA,
    WARNING,
];

/// Removes what does not go on: fields that end at this hop, every client's claims about itself, and fields that have no place in
/// trailers. `nominated` are the options of the request's `Connection`.
pub fn filter_trailers(trailers: &mut HeaderMap, nominated: &[HeaderName]) {
    let ends_here = |name: &HeaderName| is_hop_by_hop(name) || claims::of(name).is_some() || *name == CDN_LOOP;
    let goes = |name: &HeaderName| !ends_here(name) && !NEVER_TRAILERS.contains(name) && !nominated.contains(name);
    let gone: Vec<HeaderName> = trailers.keys().filter(|name| !goes(name)).cloned().collect();
    for name in gone {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn rfc9110_6_5_1_trailers_carry_no_routing_framing_credentials_or_claims() {
        let mut trailers = HeaderMap::new();
        for name in [
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "keep-alive",
            "te",
            "upgrade",
            "cookie",
            "authorization",
            "proxy-authorization",
            "cache-control",
            "if-none-match",
            "range",
            "via",
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-prefix",
            "x-real-ip",
            "x-named",
            "x-sum",
            "digest",
        ] {
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        filter_trailers(&mut trailers, &[HeaderName::from_static("x-named")]);
        let mut left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["digest", "x-sum"]);
    }
}
