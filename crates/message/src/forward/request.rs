//! A request on its way to the origin.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{self, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};
use larder_semantics::fields::is_hop_by_hop;
use smallvec::SmallVec;

use super::claims::{self, Claimed};
use super::introduce::{introduce_client, introduce_target, text_of};
use super::via::{self, CDN_LOOP, PSEUDONYM};
use crate::authority;
use crate::client::target::{own_authority, target_and_trail};
use crate::client::{ClientConnection, TrustedProxies};

/// Which `Host` the origin sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostPolicy {
    /// The client's, so that the origin can build links that work for the client.
    #[default]
    Preserve,
    /// The upstream's own, for origins that select a site by it.
    Upstream,
}

/// Settings of the requests for one upstream.
#[derive(Clone, Debug)]
pub struct ForwardRules {
    /// Proxies in front of this one that are believed.
    pub trusted: TrustedProxies,
    /// Which `Host` the origin sees.
    pub host: HostPolicy,
    /// The upstream's own host and port.
    pub upstream_host: HeaderValue,
}

/// Fields of a request whose values the operator has written or removed, in its extensions. They go on though a client that sent them would only
/// claim something about itself, and what the client sends of them in trailers does not.
#[derive(Clone, Debug)]
pub struct OwnFields(pub Arc<[HeaderName]>);

/// Makes a received head into the one that goes upstream, with the fields of [`upstream_fields`]. The target is left alone: path and query
/// go up as sent.
pub fn to_upstream(parts: &mut Parts, connection: Option<&ClientConnection>, rules: &ForwardRules) {
    let mut headers = HeaderMap::with_capacity(parts.headers.len() + ADDED);
    upstream_fields(parts, connection, rules, |name, value| {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    });
    parts.headers = headers;
    parts.version = Version::HTTP_11;
}

/// Fields that a gateway adds.
const ADDED: usize = 7;

/// Gives out the field lines that go upstream for a received head: hop-by-hop fields end here (RFC 9110 §7.6.1), `Via`, `CDN-Loop`,
/// `Max-Forwards` and `Host` are brought up to date, and the origin is told the client and the target, the same as in the key.
///
/// What the client's `Connection` names is gone already ([`larder_semantics::fields::drop_nominated`], before the key was made). A field of such
/// a name that is here was written since, by the operator or by Larder, and goes on: no client keeps that from the origin.
///
/// A request without a `connection` is Larder's own, such as a refresh: it has no client, so only the target is named, where it has a scheme.
pub fn upstream_fields(
    parts: &Parts,
    connection: Option<&ClientConnection>,
    rules: &ForwardRules,
    mut write: impl FnMut(&HeaderName, &[u8]),
) {
    let headers = &parts.headers;
    let mut trail = Trail::new();
    let target =
        connection.map(|connection| target_and_trail(&parts.uri, headers, connection, &rules.trusted, |address| trail.push(address)));
    let (scheme, authority) = match &target {
        Some(target) => (target.scheme, &*target.authority),
        None => (parts.uri.scheme_str().unwrap_or("http"), own_authority(&parts.uri, headers)),
    };
    let authority = &*authority::normal(scheme, authority);
    // "When a proxy receives a request with an absolute-form of request-target, the proxy MUST ignore the received Host header field" (RFC
    // 9112 §3.2.2); and it goes first, "since Host is crucial information for handling a request" (RFC 9110 §7.2).
    let shows_own = rules.host == HostPolicy::Preserve && !authority.is_empty();
    write(&header::HOST, if shows_own { authority.as_bytes() } else { rules.upstream_host.as_bytes() });
    let peer = connection.map(|connection| connection.peer.to_canonical());
    let believed = peer.is_some_and(|peer| rules.trusted.contains(peer));
    for (name, value) in headers {
        // Each hop decides for itself whether its content waits for a 100 (Continue) (RFC 9110 §10.1.1).
        if *name == header::HOST || *name == header::EXPECT || is_hop_by_hop(name) {
            continue;
        }
        match (claims::of(name), &target) {
            (None, _) => match forwards_left(&parts.method, name, value) {
                Some(left) => write(name, left.to_string().as_bytes()),
                None => write(name, value.as_bytes()),
            },
            (Some(_), _) if is_own(parts, name) => write(name, value.as_bytes()),
            (Some(Claimed::Other), _) if believed => write(name, value.as_bytes()),
            (Some(Claimed::RealIp), Some(target)) if believed => write(name, &text_of(target.client)),
            _ => {}
        }
    }
    if has(headers, &header::TE) && list_contains(headers, &header::TE, "trailers") {
        write(&header::TE, b"trailers");
        write(&header::CONNECTION, b"te");
    }
    match (&target, peer) {
        (Some(target), Some(peer)) => introduce_client((target.scheme, authority), &trail, peer, &mut write),
        _ => introduce_target(&parts.uri, authority, &mut write),
    }
    write(&header::VIA, via::member(connection.map_or(parts.version, |connection| connection.version)).as_bytes());
    write(&CDN_LOOP, PSEUDONYM.as_bytes());
}

fn is_own(parts: &Parts, name: &HeaderName) -> bool {
    parts.extensions.get::<OwnFields>().is_some_and(|own| own.0.contains(name))
}

/// The believed addresses before the peer's, the nearest first.
type Trail = SmallVec<[IpAddr; 4]>;

/// Whether the field is there. A request has so few that looking at each name is cheaper than hashing the one that is wanted.
fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.keys().any(|key| key == name)
}

/// RFC 9110 §7.6.2; zero was answered before it came here, other methods may not carry a meaning in it.
fn forwards_left(method: &Method, name: &HeaderName, value: &HeaderValue) -> Option<u64> {
    let counts = *name == header::MAX_FORWARDS && matches!(*method, Method::TRACE | Method::OPTIONS);
    let left = || value.to_str().ok()?.trim().parse::<u64>().ok();
    counts.then(left).flatten().map(|left| left.saturating_sub(1))
}

fn list_contains(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|member| member.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use http::Request;
    use larder_semantics::fields::drop_nominated;

    use super::*;
    use crate::client::Trust;

    const CLIENT: ClientConnection =
        ClientConnection { peer: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), secure: false, version: Version::HTTP_11 };
    const PROXY: ClientConnection =
        ClientConnection { peer: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), secure: false, version: Version::HTTP_11 };

    fn rules(host: HostPolicy) -> ForwardRules {
        ForwardRules {
            trusted: TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("CIDR")], Trust::default()),
            host,
            upstream_host: HeaderValue::from_static("origin:3000"),
        }
    }

    fn sent(method: Method, connection: Option<&ClientConnection>, host: HostPolicy, lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut parts = Request::builder().method(method).uri("/a?b").body(()).expect("request").into_parts().0;
        for (name, value) in lines {
            parts.headers.append(*name, HeaderValue::from_static(value));
        }
        to_upstream(&mut parts, connection, &rules(host));
        parts.headers
    }

    fn get(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        sent(Method::GET, Some(&CLIENT), HostPolicy::Preserve, lines)
    }

    #[test]
    fn rfc9110_7_6_1_hop_by_hop_fields_end_here() {
        let headers = get(&[
            ("host", "a"),
            ("connection", "close"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("x-public", "2"),
        ]);
        for gone in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"] {
            assert!(!headers.contains_key(gone), "{gone} went on");
        }
        assert_eq!(headers["x-public"], "2");
    }

    #[test]
    fn no_client_keeps_a_field_from_the_origin_that_was_written_since() {
        let mut parts = Request::get("/a")
            .header("connection", "x-api-version, close")
            .header("x-api-version", "9")
            .body(())
            .expect("request")
            .into_parts()
            .0;
        drop_nominated(&mut parts.headers);
        assert!(!parts.headers.contains_key("x-api-version"), "that is the client's own");
        parts.headers.insert("x-api-version", HeaderValue::from_static("2"));
        to_upstream(&mut parts, Some(&CLIENT), &rules(HostPolicy::Preserve));
        assert_eq!(parts.headers["x-api-version"], "2");
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
    fn what_the_operator_says_about_a_client_goes_on() {
        let mut parts = Request::builder()
            .uri("/a")
            .header("x-real-ip", "192.0.2.1")
            .header("x-client-ip", "6.6.6.6")
            .body(())
            .expect("request")
            .into_parts()
            .0;
        parts.extensions.insert(OwnFields([HeaderName::from_static("x-real-ip")].into()));
        to_upstream(&mut parts, Some(&CLIENT), &rules(HostPolicy::Preserve));
        assert_eq!(parts.headers["x-real-ip"], "192.0.2.1");
        assert!(!parts.headers.contains_key("x-client-ip"), "that is the client's own");
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
    fn fields_of_a_trusted_proxy_are_kept_and_extended_in_both_forms() {
        let lines =
            [("host", "a.example"), ("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "https"), ("forwarded", "for=6.6.6.6")];
        let headers = sent(Method::GET, Some(&PROXY), HostPolicy::Preserve, &lines);
        assert_eq!(headers["x-forwarded-for"], "203.0.113.7, 10.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "a.example");
        assert_eq!(headers["forwarded"], "for=203.0.113.7;host=\"a.example\";proto=https, for=10.0.0.1");
    }

    #[test]
    fn the_origin_hears_of_nothing_that_is_not_believed() {
        let lines = [
            ("host", "attacker.example"),
            ("x-forwarded-for", "6.6.6.6, 203.0.113.7"),
            ("x-forwarded-proto", "https, http"),
            ("x-forwarded-host", "victim.example"),
            ("x-forwarded-prefix", "/evil"),
            ("x-forwarded-port", "444"),
            ("x_forwarded_host", "victim.example"),
            ("x-real-ip", "6.6.6.6"),
            ("x-client-ip", "203.0.113.7"),
            ("x_client_ip", "6.6.6.6"),
        ];
        let headers = sent(Method::GET, Some(&PROXY), HostPolicy::Preserve, &lines);
        assert_eq!(headers["host"], "attacker.example");
        assert_eq!(headers["x-forwarded-host"], "attacker.example");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-for"], "203.0.113.7, 10.0.0.1");
        assert_eq!(headers["forwarded"], "for=203.0.113.7;host=\"attacker.example\";proto=http, for=10.0.0.1");
        assert_eq!(headers["x-real-ip"], "203.0.113.7");
        assert_eq!(headers["x-client-ip"], "203.0.113.7", "a trusted proxy may name the client so");
        for gone in ["x-forwarded-prefix", "x-forwarded-port", "x_forwarded_host", "x_client_ip"] {
            assert!(!headers.contains_key(gone), "{gone} went on");
        }
    }

    #[test]
    fn a_believed_host_is_the_only_one_that_the_origin_sees() {
        let rules = ForwardRules {
            trusted: TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("CIDR")], Trust { host: true, ..Trust::default() }),
            ..rules(HostPolicy::Preserve)
        };
        let mut parts = Request::get("/a").header("host", "inner:8080").body(()).expect("request").into_parts().0;
        parts.headers.insert("x-forwarded-host", HeaderValue::from_static("api.example"));
        to_upstream(&mut parts, Some(&PROXY), &rules);
        assert_eq!(
            (&parts.headers["host"], &parts.headers["x-forwarded-host"]),
            (&"api.example".parse().unwrap(), &"api.example".parse().unwrap())
        );
        assert_eq!(parts.headers["forwarded"], "for=10.0.0.1;host=\"api.example\";proto=http");
    }

    #[test]
    fn a_request_of_our_own_names_its_target() {
        let mut parts = Request::get("https://a.example/a").body(()).expect("request").into_parts().0;
        to_upstream(&mut parts, None, &rules(HostPolicy::Preserve));
        assert_eq!(parts.headers["host"], "a.example");
        assert_eq!(
            (&parts.headers["x-forwarded-proto"], &parts.headers["x-forwarded-host"]),
            (&"https".parse().unwrap(), &"a.example".parse().unwrap())
        );
        assert_eq!(parts.headers["forwarded"], "host=\"a.example\";proto=https");
        assert!(!parts.headers.contains_key("x-forwarded-for"));
    }

    #[test]
    fn rfc8586_every_pass_adds_a_member() {
        let headers = get(&[("host", "a"), ("cdn-loop", "other"), ("via", "1.1 other")]);
        assert_eq!(headers.get_all("cdn-loop").iter().collect::<Vec<_>>(), ["other", "larder"]);
        assert_eq!(headers.get_all("via").iter().collect::<Vec<_>>(), ["1.1 other", "1.1 larder"]);
    }

    #[test]
    fn no_other_name_of_the_clients_address_is_taken_from_a_client() {
        let names = ["x_forwarded_for", "x-client-ip", "x_client_ip", "true-client-ip", "cf-connecting-ip", "x_real_ip", "proxy"];
        let headers = get(&names.map(|name| (name, "6.6.6.6")));
        assert!(names.iter().all(|name| !headers.contains_key(*name)), "{headers:?}");
    }

    #[test]
    fn a_request_of_our_own_repeats_no_claims() {
        let headers = sent(Method::GET, None, HostPolicy::Preserve, &[("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6")]);
        assert!(!headers.contains_key("x-forwarded-for") && !headers.contains_key("forwarded"));
    }

    #[test]
    fn rfc7239_6_an_ipv6_node_is_bracketed_and_quoted() {
        let connection = ClientConnection { peer: "2001:db8::1".parse().expect("address"), secure: true, version: Version::HTTP_2 };
        let headers = sent(Method::GET, Some(&connection), HostPolicy::Preserve, &[]);
        assert_eq!(headers["forwarded"], "for=\"[2001:db8::1]\";proto=https");
        assert_eq!(headers["via"], "2 larder");
    }

    #[test]
    fn the_origin_sees_the_clients_host_or_its_own_as_set() {
        let lines = [("host", "a.example:81")];
        assert_eq!(get(&lines)["host"], "a.example:81");
        assert_eq!(get(&[("host", "A.Example:80")])["host"], "a.example", "as the key has it");
        assert_eq!(sent(Method::GET, Some(&CLIENT), HostPolicy::Upstream, &lines)["host"], "origin:3000");
        assert_eq!(get(&[])["host"], "origin:3000", "an HTTP/1.0 client may name none");
    }
}
