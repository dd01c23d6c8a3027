//! A request on its way to the origin.

use std::net::IpAddr;

use http::header::{self, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use larder_semantics::fields::{connection_options, is_hop_by_hop};

use super::Hop;
use super::target::own_authority;
use super::trust::TrustedProxies;
use super::via;

const FORWARDED: HeaderName = header::FORWARDED;
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Which `Host` the origin sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostPolicy {
    /// The client's, so that the origin can build links that work for the client.
    #[default]
    Preserve,
    /// The upstream's own, for origins that select a site by it.
    Upstream,
}

/// What is done to requests for one upstream.
#[derive(Clone, Debug)]
pub struct ForwardRules {
    /// Proxies in front of this one that are believed.
    pub trusted: TrustedProxies,
    /// Which `Host` the origin sees.
    pub host: HostPolicy,
    /// The upstream's own host and port.
    pub upstream_host: HeaderValue,
}

/// Makes a received head into the one that goes upstream, with the fields of [`upstream_fields`]. The target is left alone: path and query
/// go up as sent.
pub fn to_upstream(parts: &mut Parts, hop: Option<&Hop>, rules: &ForwardRules) {
    let mut headers = HeaderMap::with_capacity(parts.headers.len() + ADDED);
    upstream_fields(parts, hop, rules, |name, value| {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    });
    parts.headers = headers;
    parts.version = Version::HTTP_11;
}

/// Fields that a gateway adds.
const ADDED: usize = 6;

/// Gives out the field lines that go upstream for a received head: hop-by-hop fields end here (RFC 9110 §7.6.1), `Via`, `Max-Forwards` and
/// `Host` are brought up to date, and the origin is told who asked.
///
/// Without a `hop` (a request of Larder's own, such as a refresh) a client's claims about itself are removed and none are added.
pub fn upstream_fields(parts: &Parts, hop: Option<&Hop>, rules: &ForwardRules, mut write: impl FnMut(&HeaderName, &[u8])) {
    let headers = &parts.headers;
    let host = own_host(&parts.uri, headers);
    // "When a proxy receives a request with an absolute-form of request-target, the proxy MUST ignore the received Host header field" (RFC
    // 9112 §3.2.2); and it goes first, "since Host is crucial information for handling a request" (RFC 9110 §7.2).
    let shown = host.as_ref().filter(|_| rules.host == HostPolicy::Preserve).unwrap_or(&rules.upstream_host);
    write(&header::HOST, shown.as_bytes());
    let believed = hop.is_some_and(|hop| rules.trusted.contains(hop.peer));
    let options = if has(headers, &header::CONNECTION) { connection_options(headers) } else { Default::default() };
    let (mut proto, mut named) = (false, false);
    for (name, value) in headers {
        // Whether this hop expects anything of the next is up to whoever sends the content (RFC 9110 §10.1.1).
        if *name == header::HOST || *name == header::EXPECT || is_hop_by_hop(name) || options.contains(name) {
            continue;
        }
        if is_claim(name) {
            if !believed || *name == FORWARDED || *name == X_FORWARDED_FOR {
                continue;
            }
            proto |= *name == X_FORWARDED_PROTO;
            named |= *name == X_FORWARDED_HOST;
        }
        match forwards_left(&parts.method, name, value) {
            Some(left) => write(name, left.to_string().as_bytes()),
            None => write(name, value.as_bytes()),
        }
    }
    if has(headers, &header::TE) && list_contains(headers, &header::TE, "trailers") {
        write(&header::TE, b"trailers");
        write(&header::CONNECTION, b"te");
    }
    if let Some(hop) = hop {
        let before = believed.then_some(headers);
        introduce_client(before, hop, host.as_ref(), &mut write);
        if !proto {
            write(&X_FORWARDED_PROTO, hop.scheme().as_bytes());
        }
        if let Some(host) = host.filter(|_| !named) {
            write(&X_FORWARDED_HOST, host.as_bytes());
        }
    }
    write(&header::VIA, via::member(hop.map_or(parts.version, |hop| hop.version)).as_bytes());
}

/// Whether the client asks to leave HTTP (RFC 9110 §7.8). Upgrades to other versions of HTTP do not count: they would carry requests
/// past this gateway, and a server may ignore an upgrade it is not interested in.
pub fn is_upgrade(version: Version, headers: &HeaderMap) -> bool {
    version == Version::HTTP_11
        && has(headers, &header::UPGRADE)
        && list_contains(headers, &header::CONNECTION, "upgrade")
        && headers.get(header::UPGRADE).and_then(|value| value.to_str().ok()).is_some_and(leaves_http)
}

/// Whether the field is there. A request has so few that looking at each name is cheaper than hashing the one that is wanted.
fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.keys().any(|key| key == name)
}

fn leaves_http(protocols: &str) -> bool {
    let names = || protocols.split(',').map(|protocol| protocol.split('/').next().unwrap_or("").trim().to_ascii_lowercase());
    names().any(|name| !name.is_empty()) && names().all(|name| !matches!(name.as_str(), "h2c" | "h2" | "http" | "tls"))
}

/// RFC 9110 §7.6.2; zero was answered before it came here, other methods may not carry a meaning in it.
fn forwards_left(method: &Method, name: &HeaderName, value: &HeaderValue) -> Option<u64> {
    let counts = *name == header::MAX_FORWARDS && matches!(*method, Method::TRACE | Method::OPTIONS);
    let left = || value.to_str().ok()?.trim().parse::<u64>().ok();
    counts.then(left).flatten().map(|left| left.saturating_sub(1))
}

/// Adds this hop to what a trusted peer wrote `before`. Everything an untrusted one wrote is replaced, so that a client cannot pose as
/// another.
fn introduce_client(before: Option<&HeaderMap>, hop: &Hop, host: Option<&HeaderValue>, write: &mut impl FnMut(&HeaderName, &[u8])) {
    let peer = hop.peer.to_canonical();
    let address = text_of(peer);
    let authority = host.and_then(|host| host.to_str().ok()).unwrap_or("");
    let mut text = Vec::with_capacity(128);
    // The lines of a list field are folded into one, for origins that read only the first line.
    let mut add = |name: &HeaderName, member: &[&str]| {
        text.clear();
        for line in before.into_iter().flat_map(|headers| headers.get_all(name)) {
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(b", ");
        }
        member.iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
        write(name, &text);
    };
    add(&FORWARDED, &forwarded_element(peer, &address, authority, hop.scheme()));
    add(&X_FORWARDED_FOR, &[&address]);
}

/// Every `X-Forwarded-*`, not only those written here: origins read `X-Forwarded-Port`, `-Prefix` and others too.
pub(super) fn is_claim(name: &HeaderName) -> bool {
    *name == FORWARDED || name.as_str().starts_with("x-forwarded-") || *name == X_REAL_IP
}

/// As `Display` writes it, in a fraction of the time where it is an IPv4 address.
fn text_of(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut text = String::with_capacity("255.255.255.255".len());
    for octet in address.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        let digits = [octet / 100, octet / 10 % 10, octet % 10];
        let leading = usize::from(octet < 100) + usize::from(octet < 10);
        text.extend(digits[leading..].iter().map(|digit| char::from(b'0' + digit)));
    }
    text
}

/// RFC 7239 §4; an IPv6 address is bracketed and quoted (§6), and so is a host with a port.
fn forwarded_element<'a>(peer: IpAddr, address: &'a str, authority: &'a str, scheme: &'a str) -> [&'a str; 9] {
    let (open, close) = if peer.is_ipv4() { ("", "") } else { ("\"[", "]\"") };
    let (host, authority, end) =
        if authority.is_empty() || authority.contains(['"', '\\']) { ("", "", "") } else { (";host=\"", authority, "\"") };
    ["for=", open, address, close, host, authority, end, ";proto=", scheme]
}

/// What the request names itself, as a field value; `None` where an HTTP/1.0 client named nothing.
fn own_host(uri: &Uri, headers: &HeaderMap) -> Option<HeaderValue> {
    let host = match headers.get(header::HOST) {
        Some(host) if uri.authority().is_none() => Some(host.clone()),
        _ => HeaderValue::from_str(own_authority(uri, headers)).ok(),
    };
    host.filter(|host| !host.is_empty() && host.to_str().is_ok())
}

fn list_contains(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|member| member.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const CLIENT: Hop = Hop { peer: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), secure: false, version: Version::HTTP_11 };
    const PROXY: Hop = Hop { peer: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), secure: false, version: Version::HTTP_11 };

    fn rules(host: HostPolicy) -> ForwardRules {
        ForwardRules {
            trusted: TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("CIDR")]),
            host,
            upstream_host: HeaderValue::from_static("origin:3000"),
        }
    }

    fn sent(method: Method, hop: Option<&Hop>, host: HostPolicy, lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut parts = Request::builder().method(method).uri("/a?b").body(()).expect("request").into_parts().0;
        for (name, value) in lines {
            parts.headers.append(*name, HeaderValue::from_static(value));
        }
        to_upstream(&mut parts, hop, &rules(host));
        parts.headers
    }

    fn get(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        sent(Method::GET, Some(&CLIENT), HostPolicy::Preserve, lines)
    }

    #[test]
    fn rfc9110_7_6_1_hop_by_hop_fields_end_here() {
        let headers = get(&[
            ("host", "a"),
            ("connection", "x-private, close"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("x-public", "2"),
        ]);
        for gone in ["connection", "x-private", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"] {
            assert!(!headers.contains_key(gone), "{gone} went on");
        }
        assert_eq!(headers["x-public"], "2");
    }

    #[test]
    fn rfc9110_10_1_4_te_trailers_goes_on_as_this_hops_own() {
        let headers = get(&[("te", "gzip;q=0.5, trailers"), ("connection", "te")]);
        assert_eq!(headers["te"], "trailers");
        assert_eq!(headers["connection"], "te");
    }

    #[test]
    fn rfc9110_7_6_2_max_forwards_is_counted_down_for_trace_and_options_only() {
        let lines = [("max-forwards", "7")];
        assert_eq!(sent(Method::OPTIONS, Some(&CLIENT), HostPolicy::Preserve, &lines)["max-forwards"], "6");
        assert_eq!(sent(Method::TRACE, Some(&CLIENT), HostPolicy::Preserve, &lines)["max-forwards"], "6");
        assert_eq!(get(&lines)["max-forwards"], "7");
    }

    #[test]
    fn a_client_cannot_pose_as_another() {
        let headers = get(&[
            ("host", "a.example"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-port", "443"),
            ("x-real-ip", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
        ]);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "a.example");
        assert_eq!(headers["forwarded"], "for=192.0.2.1;host=\"a.example\";proto=http");
        assert!(!headers.contains_key("x-forwarded-port") && !headers.contains_key("x-real-ip"));
    }

    #[test]
    fn what_a_trusted_proxy_wrote_is_kept_and_added_to() {
        let lines =
            [("host", "a.example"), ("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "https"), ("forwarded", "for=203.0.113.7")];
        let headers = sent(Method::GET, Some(&PROXY), HostPolicy::Preserve, &lines);
        assert_eq!(headers["x-forwarded-for"], "203.0.113.7, 10.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["forwarded"], "for=203.0.113.7, for=10.0.0.1;host=\"a.example\";proto=http");
    }

    #[test]
    fn a_request_of_our_own_repeats_no_claims() {
        let headers = sent(Method::GET, None, HostPolicy::Preserve, &[("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6")]);
        assert!(!headers.contains_key("x-forwarded-for") && !headers.contains_key("forwarded"));
    }

    #[test]
    fn an_address_is_written_as_everyone_writes_it() {
        for address in ["0.0.0.0", "9.10.99.100", "192.0.2.1", "255.255.255.255", "1.20.0.205", "2001:db8::1"] {
            assert_eq!(text_of(address.parse().expect("address")), address);
        }
    }

    #[test]
    fn rfc7239_6_an_ipv6_node_is_bracketed_and_quoted() {
        let hop = Hop { peer: "2001:db8::1".parse().expect("address"), secure: true, version: Version::HTTP_2 };
        let headers = sent(Method::GET, Some(&hop), HostPolicy::Preserve, &[]);
        assert_eq!(headers["forwarded"], "for=\"[2001:db8::1]\";proto=https");
        assert_eq!(headers["via"], "2 larder");
    }

    #[test]
    fn the_origin_sees_the_clients_host_or_its_own_as_set() {
        let lines = [("host", "a.example:81")];
        assert_eq!(get(&lines)["host"], "a.example:81");
        assert_eq!(sent(Method::GET, Some(&CLIENT), HostPolicy::Upstream, &lines)["host"], "origin:3000");
        assert_eq!(get(&[])["host"], "origin:3000", "an HTTP/1.0 client may name none");
    }

    #[test]
    fn rfc9110_7_8_an_upgrade_to_http_itself_is_no_upgrade() {
        let upgrades = |protocol: &'static str| {
            let request = Request::builder().header("connection", "keep-alive, Upgrade").header("upgrade", protocol);
            let request = request.body(()).expect("request");
            is_upgrade(request.version(), request.headers())
        };
        assert!(upgrades("websocket"));
        assert!(upgrades("irc/6.9"));
        for http in ["h2c", "HTTP/2.0", "websocket, h2c", "TLS/1.3", ""] {
            assert!(!upgrades(http), "{http} would carry requests past the gateway");
        }
    }
}
