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

/// What a client says of its certificate (RFC 9440 §4).
const CERTIFICATE: [&str; 2] = ["client-cert", "client-cert-chain"];

/// Removes what does not go on: fields that end at this hop, every client's claims about itself, and fields that have no place in
/// trailers. `withheld` are the options of the request's `Connection`, and fields whose values the operator decides about.
pub fn filter_trailers(trailers: &mut HeaderMap, withheld: &[HeaderName]) {
    let is_claim = |name: &HeaderName| claims::of(name).is_some() || CERTIFICATE.iter().any(|known| claims::same(name.as_str(), known));
    let ends_here = |name: &HeaderName| is_hop_by_hop(name) || is_claim(name) || *name == CDN_LOOP;
    let is_withheld = |name: &HeaderName| withheld.iter().any(|known| claims::same(name.as_str(), known.as_str()));
    let goes = |name: &HeaderName| !ends_here(name) && !NEVER_TRAILERS.contains(name) && !is_withheld(name);
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
            "x_role",
            "client-cert",
            "client_cert",
            "client-cert-chain",
            "client-cert_chain",
            "x-sum",
            "digest",
        ] {
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        filter_trailers(&mut trailers, &["x-named", "x-role"].map(HeaderName::from_static));
        let mut left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["digest", "x-sum"]);
    }
}
