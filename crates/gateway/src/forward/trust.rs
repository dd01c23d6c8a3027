//! Whose word is taken for who the client is.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const X_FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED: &str = "forwarded";

/// The proxies in front of this one whose `Forwarded` and `X-Forwarded-*` are believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Believes peers inside these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether this address is a trusted proxy's. IPv4 addresses mapped into IPv6 count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// What trusted proxies say about the client.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claim<'a> {
    /// The last address that is not a trusted proxy's.
    pub(super) client: Option<IpAddr>,
    /// `http` or `https`.
    pub(super) scheme: Option<&'static str>,
    /// Host and port as the client named them; not checked yet.
    pub(super) host: Option<Cow<'a, str>>,
}

/// Reads the claim that came through a trusted peer. `X-Forwarded-*` wins over `Forwarded`: most proxies write the former and let a
/// client's own `Forwarded` pass, and a field that nobody in the chain wrote must not be believed.
pub(super) fn read_claim<'a>(headers: &'a HeaderMap, trusted: &TrustedProxies) -> Claim<'a> {
    if [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST].iter().any(|name| headers.contains_key(*name)) {
        let members: Vec<&str> = list(headers, X_FORWARDED_FOR, ',').collect();
        Claim {
            client: last_untrusted(members.iter().rev().map(|member| parse_node(member)), trusted).map(|(_, ip)| ip),
            scheme: list(headers, X_FORWARDED_PROTO, ',').next().and_then(scheme),
            host: list(headers, X_FORWARDED_HOST, ',').next().map(Cow::Borrowed),
        }
    } else {
        forwarded_claim(headers, trusted)
    }
}

/// RFC 7239 §4: the element whose `for` is the client was written by the proxy that saw the client, so its `proto` and `host` count.
fn forwarded_claim<'a>(headers: &'a HeaderMap, trusted: &TrustedProxies) -> Claim<'a> {
    let elements: Vec<&str> = list(headers, FORWARDED, ',').collect();
    let nodes = elements.iter().rev().map(|element| parameter(element, "for").and_then(|node| parse_node(&node)));
    let Some((from_right, client)) = last_untrusted(nodes, trusted) else { return Claim::default() };
    let element = elements[elements.len() - 1 - from_right];
    Claim { client: Some(client), scheme: parameter(element, "proto").as_deref().and_then(scheme), host: parameter(element, "host") }
}

/// Walks from the nearest hop outwards and stops at the first address that is not trusted, or at the last readable one.
fn last_untrusted(nodes: impl Iterator<Item = Option<IpAddr>>, trusted: &TrustedProxies) -> Option<(usize, IpAddr)> {
    let mut last = None;
    for (index, node) in nodes.enumerate() {
        let Some(address) = node else { break };
        last = Some((index, address));
        if !trusted.contains(address) {
            break;
        }
    }
    last
}

/// The members of a list field over all its lines, trimmed; separators inside quoted strings do not count (RFC 9110 §5.6.1).
fn list<'a>(headers: &'a HeaderMap, name: &'static str, separator: char) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(move |line| split_unquoted(line, separator)).map(str::trim).filter(|member| !member.is_empty())
}

fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |c: char| {
        let ends = !quoted && c == separator;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        ends
    })
}

/// The value of one parameter of a `Forwarded` element, unquoted.
fn parameter<'a>(element: &'a str, name: &str) -> Option<Cow<'a, str>> {
    split_unquoted(element, ';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        if !key.trim().eq_ignore_ascii_case(name) {
            return None;
        }
        let value = value.trim();
        match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
            Some(quoted) if quoted.contains('\\') => Some(Cow::Owned(quoted.replace('\\', ""))),
            Some(quoted) => Some(Cow::Borrowed(quoted)),
            None => Some(Cow::Borrowed(value)),
        }
    })
}

/// An address with or without port and brackets; `unknown` and obfuscated nodes (RFC 7239 §6) are not addresses.
fn parse_node(node: &str) -> Option<IpAddr> {
    let bare = node.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(node);
    let address = bare.parse::<IpAddr>().ok().or_else(|| node.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(address.to_canonical())
}

fn scheme(name: &str) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|scheme| name.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn trusted() -> TrustedProxies {
        TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("CIDR"), "fd00::/8".parse().expect("CIDR")])
    }

    fn claim_of(lines: &[(&'static str, &'static str)]) -> (Option<String>, Option<&'static str>, Option<String>) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let trusted = trusted();
        let claim = read_claim(&headers, &trusted);
        (claim.client.map(|ip| ip.to_string()), claim.scheme, claim.host.map(Cow::into_owned))
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        let lines = [("x-forwarded-for", "6.6.6.6, 203.0.113.7"), ("x-forwarded-for", "10.1.1.1")];
        assert_eq!(claim_of(&lines).0.as_deref(), Some("203.0.113.7"));
        assert_eq!(claim_of(&[("x-forwarded-for", "10.1.1.1, 10.2.2.2")]).0.as_deref(), Some("10.1.1.1"));
        assert_eq!(claim_of(&[("x-forwarded-for", "203.0.113.7, rubbish, 10.1.1.1")]).0.as_deref(), Some("10.1.1.1"));
    }

    #[test]
    fn rfc7239_4_the_element_that_saw_the_client_names_scheme_and_host() {
        let lines = [("forwarded", r#"for=6.6.6.6;host=evil, For="203.0.113.7:4711";Proto=HTTPS;host="a.example:8443", for="[fd00::1]""#)];
        assert_eq!(claim_of(&lines), (Some("203.0.113.7".into()), Some("https"), Some("a.example:8443".into())));
    }

    #[test]
    fn rfc7239_6_unknown_and_obfuscated_nodes_are_no_addresses() {
        assert_eq!(claim_of(&[("forwarded", "for=unknown")]).0, None);
        assert_eq!(claim_of(&[("forwarded", "for=203.0.113.7, for=_hidden, for=10.1.1.1")]).0.as_deref(), Some("10.1.1.1"));
    }

    #[test]
    fn forwarded_is_not_believed_beside_x_forwarded_fields() {
        let lines = [("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=6.6.6.6;host=evil.example")];
        assert_eq!(claim_of(&lines), (Some("203.0.113.7".into()), None, None));
    }

    #[test]
    fn a_scheme_other_than_http_and_https_is_no_scheme() {
        assert_eq!(claim_of(&[("x-forwarded-proto", "gopher")]).1, None);
        assert_eq!(claim_of(&[("x-forwarded-proto", "HTTPS, http")]).1, Some("https"));
    }

    #[test]
    fn an_ipv4_address_mapped_into_ipv6_is_the_same_address() {
        assert!(trusted().contains("::ffff:10.9.9.9".parse().expect("address")));
        assert!(!trusted().contains("::ffff:192.0.2.1".parse().expect("address")));
    }
}
