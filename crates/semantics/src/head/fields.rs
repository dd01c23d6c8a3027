//! Fields that end at this hop (RFC 9110 §7.6.1), and fields that a cache must not store (RFC 9111 §3.1).

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_TYPE, COOKIE, DATE, ETAG, EXPECT, EXPIRES, FORWARDED, HOST, LAST_MODIFIED, MAX_FORWARDS, SET_COOKIE, TE, TRANSFER_ENCODING,
    UPGRADE, VARY, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use smallvec::SmallVec;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// `X-Cache`: `HIT`, `MISS` or `BYPASS`.
pub const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// `Cache-Status` (RFC 9211).
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Digests that are "calculated over the message content" (RFC 9530 §2), and the older one of the same bytes (RFC 2616 §14.15): no part of a
/// representation has that of another part, or of the whole.
pub const CONTENT_DIGESTS: [HeaderName; 2] = [HeaderName::from_static("content-digest"), HeaderName::from_static("content-md5")];

/// "Intermediaries SHOULD remove or replace fields that are known to require removal before forwarding, whether or not they appear as a
/// connection-option" (RFC 9110 §7.6.1).
static HOP_BY_HOP: [HeaderName; 6] = [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE];

/// "A sender MUST NOT send a connection option corresponding to a field that is intended for all recipients of the content. For example,
/// Cache-Control is never appropriate as a connection option" (RFC 9110 §7.6.1). A peer that names these would change the cache's
/// decision, or the origin's selection, without the other side noticing; they stay.
static NEVER_CONNECTION_OPTIONS: [HeaderName; 16] = [
    ACCEPT,
    ACCEPT_ENCODING,
    ACCEPT_LANGUAGE,
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    COOKIE,
    DATE,
    ETAG,
    EXPIRES,
    HOST,
    LAST_MODIFIED,
    SET_COOKIE,
    VARY,
];

/// Whether the field describes the way of a message so far. A client that had a proxy remove it would hide behind that proxy's address, or send a
/// request in circles undetected.
fn tells_the_way(name: &HeaderName) -> bool {
    let text = name.as_str();
    *name == VIA || *name == FORWARDED || text == "cdn-loop" || text == "x-real-ip" || text.starts_with("x-forwarded-")
}

/// Whether the field ends at this hop whether or not `Connection` names it.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    // Compared by length first, which is all that it takes for most names.
    matches!(name.as_str(), "connection" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade")
}

/// The fields that `Connection` names, without those that are "never appropriate" there.
pub fn connection_options(headers: &HeaderMap) -> SmallVec<[HeaderName; 4]> {
    let lines = headers.get_all(CONNECTION).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    names
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !NEVER_CONNECTION_OPTIONS.contains(name) && !tells_the_way(name))
        .collect()
}

/// Removes the hop-by-hop fields: `Connection`, those it names, `Keep-Alive`, `Proxy-Connection`, `TE`, `Transfer-Encoding`, `Upgrade`.
/// Names in `Connection` that are "never appropriate" there are ignored.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none of them, and one pass over the names is cheaper than seven searches.
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    for name in connection_options(headers) {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Removes the request fields that `Connection` names, before anything reads them. Otherwise a client could have a field that selects the
/// response (`Vary`) counted here and kept from the origin, and so have the wrong response stored. Fields that this hop itself needs stay, and so
/// do those that describe the way of the request.
pub fn drop_nominated(headers: &mut HeaderMap) {
    // A request has so few fields that looking at each name is cheaper than hashing the one that is wanted.
    if !headers.keys().any(|name| *name == CONNECTION) {
        return;
    }
    const KEPT: [HeaderName; 7] = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, TE, UPGRADE, EXPECT, MAX_FORWARDS];
    let is_usual = |option: &[u8]| [&b"close"[..], b"keep-alive", b"upgrade", b"te"].iter().any(|usual| option.eq_ignore_ascii_case(usual));
    let options = |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b',').all(|option| is_usual(option.trim_ascii()));
    if headers.get_all(CONNECTION).iter().all(options) {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    let named = lines.iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    for name in named.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()) {
        if name != CONNECTION && !KEPT.contains(&name) && !tells_the_way(&name) {
            headers.remove(name);
        }
    }
}

/// Whether the client asks to leave HTTP (RFC 9110 §7.8). Upgrades to other versions of HTTP do not count: they would carry requests
/// past a gateway, and a server may ignore an upgrade it is not interested in.
pub fn is_upgrade(version: Version, headers: &HeaderMap) -> bool {
    // A request has so few fields that looking at each name is cheaper than hashing the one that is wanted.
    if version != Version::HTTP_11 || !headers.keys().any(|name| *name == UPGRADE) {
        return false;
    }
    let options = headers.get_all(CONNECTION).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    options.into_iter().any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        && headers.get(UPGRADE).and_then(|value| value.to_str().ok()).is_some_and(leaves_http)
}

fn leaves_http(protocols: &str) -> bool {
    let names = || protocols.split(',').map(|protocol| protocol.split('/').next().unwrap_or("").trim().to_ascii_lowercase());
    names().any(|name| !name.is_empty()) && names().all(|name| !matches!(name.as_str(), "h2c" | "h2" | "http" | "tls"))
}

/// Whether no response field of this name is ever stored or taken from a 304: hop-by-hop and proxy fields (§3.1), those of
/// [`is_for_one_client`], and `Trailer`, which says how one message was sent.
pub(crate) fn never_stored(name: &HeaderName) -> bool {
    is_hop_by_hop(name) || is_for_a_proxy(name) || is_for_one_client(name) || name.as_str() == "trailer"
}

/// "Fields that are specific to the proxy that a cache uses when forwarding a request MUST NOT be stored" (RFC 9111 §3.1).
fn is_for_a_proxy(name: &HeaderName) -> bool {
    matches!(name.as_str(), "proxy-authenticate" | "proxy-authentication-info" | "proxy-authorization")
}

/// Whether a response field of this name is only for the client whose request was answered: cookies (a stored response would hand one user's to
/// another), the outcome of its authentication (RFC 9110 §11.6.3), and the order that its browser clears its data of the site (W3C Clear Site
/// Data §3.1).
pub fn is_for_one_client(name: &HeaderName) -> bool {
    matches!(name.as_str(), "set-cookie" | "set-cookie2" | "authentication-info" | "clear-site-data")
}

/// Removes [`CONTENT_DIGESTS`].
pub(crate) fn remove_content_digests(headers: &mut HeaderMap) {
    for name in &CONTENT_DIGESTS {
        headers.remove(name);
    }
}

/// Whether the field is written anew on every answer.
pub(crate) fn written_anew(name: &HeaderName) -> bool {
    *name == AGE || *name == CACHE_STATUS || *name == X_CACHE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_that_is_removed_as_hop_by_hop_is_known_as_one() {
        assert!(HOP_BY_HOP.iter().all(is_hop_by_hop));
        for name in [http::header::ETAG, CACHE_CONTROL, http::header::TRAILER, HeaderName::from_static("x-te")] {
            assert!(!is_hop_by_hop(&name), "{name}");
        }
    }

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn rfc9110_7_6_1_hop_by_hop_fields_go() {
        let mut headers = map(&[
            ("connection", "close, X-One"),
            ("connection", " x-two ,,"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-connection", "keep-alive"),
            ("close", "stays not: it is named"),
            ("x-three", "3"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("x-three", "3")]));
    }

    #[test]
    fn rfc9110_7_6_1_end_to_end_fields_are_no_connection_options() {
        let mut headers = map(&[("connection", "cache-control, vary, set-cookie"), ("cache-control", "no-store"), ("vary", "accept")]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("cache-control", "no-store"), ("vary", "accept")]));
    }

    #[test]
    fn rfc9110_7_6_1_nominated_fields_are_gone_before_the_cache_reads_them() {
        let mut headers = HeaderMap::new();
        headers.append("connection", HeaderValue::from_static("keep-alive, accept-language, host"));
        headers.append("connection", HeaderValue::from_static("Upgrade, X-Api-Version"));
        for name in ["host", "accept-language", "x-api-version", "upgrade", "accept"] {
            headers.insert(name, HeaderValue::from_static("x"));
        }
        drop_nominated(&mut headers);
        assert!(!headers.contains_key("accept-language") && !headers.contains_key("x-api-version"));
        assert!(["host", "upgrade", "accept", "connection"].iter().all(|name| headers.contains_key(*name)));
    }

    #[test]
    fn rfc9110_7_8_an_upgrade_to_http_itself_is_no_upgrade() {
        let upgrades = |version, protocol| is_upgrade(version, &map(&[("connection", "keep-alive, Upgrade"), ("upgrade", protocol)]));
        assert!(upgrades(Version::HTTP_11, "websocket"));
        assert!(upgrades(Version::HTTP_11, "irc/6.9"));
        assert!(!upgrades(Version::HTTP_2, "websocket") && !upgrades(Version::HTTP_10, "websocket"));
        assert!(!is_upgrade(Version::HTTP_11, &map(&[("connection", "keep-alive"), ("upgrade", "websocket")])));
        for http in ["h2c", "HTTP/2.0", "websocket, h2c", "TLS/1.3", ""] {
            assert!(!upgrades(Version::HTTP_11, http), "{http} would carry requests past the gateway");
        }
    }

    #[test]
    fn connection_options_do_not_remove_the_fields_that_describe_the_way() {
        let way = ["via", "forwarded", "x-forwarded-for", "x-forwarded-proto", "cdn-loop", "x-real-ip"];
        let mut headers = map(&way.map(|name| (name, "x")));
        headers.insert("connection", HeaderValue::from_static("via, Forwarded, X-Forwarded-For, x-forwarded-proto, cdn-loop, x-real-ip"));
        drop_nominated(&mut headers);
        assert!(way.iter().all(|name| headers.contains_key(*name)), "{headers:?}");
        assert!(connection_options(&headers).is_empty());
    }
}
