//! The resource that a request is for, and its client, as far as they are believed.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, Uri, header};
use larder_semantics::Target;

use super::ClientConnection;
use super::trust::{TrustedProxies, read_claim};

/// Scheme and authority of the target URI (RFC 9110 §7.1), and the client. The origin is told the same, so that a response that depends on them
/// is stored under a key that has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveTarget<'a> {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host and port as the client named them; empty where an HTTP/1.0 client named none.
    pub authority: Cow<'a, str>,
    /// Whether a trusted proxy names the authority, and not the request itself.
    pub vouched: bool,
    /// The last hop that is not a trusted proxy.
    pub client: IpAddr,
}

impl EffectiveTarget<'_> {
    /// The target URI of a request with this request target.
    pub fn of<'t>(&'t self, uri: &'t Uri) -> Target<'t> {
        Target { scheme: self.scheme, authority: &self.authority, path: uri.path(), query: uri.query() }
    }
}

/// Scheme and authority that the cache key uses, and the client's address: from the connection and the request itself, or from
/// `X-Forwarded-*` or `Forwarded` as far as a trusted peer is believed. Allocates nothing for an untrusted peer.
pub fn effective_target<'a>(
    uri: &'a Uri,
    headers: &'a HeaderMap,
    connection: &ClientConnection,
    trusted: &TrustedProxies,
) -> EffectiveTarget<'a> {
    target_and_trail(uri, headers, connection, trusted, |_| ())
}

/// The same. Calls `trail` with each address before the peer's that counts, the nearest first: the client's is the last.
pub(crate) fn target_and_trail<'a>(
    uri: &'a Uri,
    headers: &'a HeaderMap,
    connection: &ClientConnection,
    trusted: &TrustedProxies,
    trail: impl FnMut(IpAddr),
) -> EffectiveTarget<'a> {
    let own = own_authority(uri, headers);
    let peer = connection.peer.to_canonical();
    if !trusted.contains(peer) {
        return EffectiveTarget { scheme: connection.scheme(), authority: Cow::Borrowed(own), vouched: false, client: peer };
    }
    let claim = read_claim(headers, trusted, trail);
    EffectiveTarget {
        scheme: claim.scheme.unwrap_or(connection.scheme()),
        vouched: claim.host.is_some(),
        authority: claim.host.unwrap_or(Cow::Borrowed(own)),
        client: claim.client.unwrap_or(peer),
    }
}

/// The authority that the request itself names: the target's (absolute-form, `:authority`) before `Host` (RFC 9112 §3.2.2).
pub(crate) fn own_authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or(""),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Version};

    use super::super::Trust;
    use super::*;

    const AND_HOST: Trust = Trust { client: true, scheme: true, host: true, certificate: false };

    fn target(peer: &str, uri: &'static str, lines: &[(&'static str, &'static str)]) -> (String, String, String) {
        believed(AND_HOST, peer, uri, lines)
    }

    fn believed(trust: Trust, peer: &str, uri: &'static str, lines: &[(&'static str, &'static str)]) -> (String, String, String) {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("CIDR")], trust);
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let connection = ClientConnection { peer: peer.parse().expect("address"), secure: false, version: Version::HTTP_11 };
        let uri = Uri::from_static(uri);
        let found = effective_target(&uri, &headers, &connection, &trusted);
        (found.scheme.into(), found.authority.into_owned(), found.client.to_string())
    }

    const CLAIM: [(&str, &str); 4] = [
        ("host", "inner:8080"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "api.example.com"),
    ];

    #[test]
    fn an_untrusted_peer_is_not_believed() {
        assert_eq!(target("192.0.2.1", "/a", &CLAIM), ("http".into(), "inner:8080".into(), "192.0.2.1".into()));
    }

    #[test]
    fn a_trusted_peer_is_believed() {
        assert_eq!(target("10.0.0.1", "/a", &CLAIM), ("https".into(), "api.example.com".into(), "203.0.113.7".into()));
    }

    #[test]
    fn a_trusted_peer_is_believed_about_the_host_only_where_that_is_said() {
        let found = believed(Trust::default(), "10.0.0.1", "/a", &CLAIM);
        assert_eq!(found, ("https".into(), "inner:8080".into(), "203.0.113.7".into()));
    }

    #[test]
    fn a_host_that_is_no_authority_is_not_believed_from_anyone() {
        let lines = [("host", "a.example"), ("x-forwarded-host", "user@evil/../")];
        assert_eq!(target("10.0.0.1", "/a", &lines).1, "a.example");
    }

    #[test]
    fn rfc9112_3_2_2_the_authority_of_the_target_wins_over_host() {
        assert_eq!(target("192.0.2.1", "http://a.example/x", &[("host", "b.example")]).1, "a.example");
    }
}
