//! Claims of trusted proxies about the client.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;

use crate::authority;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The claims of trusted proxies that are believed. A field that a proxy does not write itself passes through it as the client sent it, so only what
/// all of them write belongs here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The client's address: `X-Forwarded-For`, `for=`.
    pub client: bool,
    /// The scheme: `X-Forwarded-Proto`, `proto=`.
    pub scheme: bool,
    /// The host: `X-Forwarded-Host`, `host=`.
    pub host: bool,
    /// The certificate that the client showed: `Client-Cert` (RFC 9440).
    pub certificate: bool,
}

impl Default for Trust {
    /// Nearly every proxy writes the first two, and hands on the `Host` that it got.
    fn default() -> Self {
        Self { client: true, scheme: true, host: false, certificate: false }
    }
}

/// The proxies in front of this one whose `Forwarded` and `X-Forwarded-*` are believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    trust: Trust,
}

impl TrustedProxies {
    /// Believes peers inside these networks, about this.
    pub fn new(networks: Vec<IpNet>, trust: Trust) -> Self {
        Self { networks, trust }
    }

    /// Whether this peer is believed about the certificate that its client showed.
    pub fn tells_certificates(&self, peer: IpAddr) -> bool {
        self.trust.certificate && self.contains(peer)
    }

    /// Whether this address is a trusted proxy's. IPv4 addresses mapped into IPv6 count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// Claims of trusted proxies about the client.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim<'a> {
    /// The last address that is not a trusted proxy's.
    pub(crate) client: Option<IpAddr>,
    /// `http` or `https`.
    pub(crate) scheme: Option<&'static str>,
    /// Host and port, where they are that.
    pub(crate) host: Option<Cow<'a, str>>,
}

/// Reads the claim that came through a trusted peer, each field from the right and past trusted members only: the last member is the peer's
/// own, and each before it was written by the one behind it. Calls `visit` with each address that counts, the nearest first.
///
/// `X-Forwarded-*` wins over `Forwarded`: most proxies write the former and let a client's own `Forwarded` pass.
pub(crate) fn read_claim<'a>(headers: &'a HeaderMap, trusted: &TrustedProxies, visit: impl FnMut(IpAddr)) -> Claim<'a> {
    let trust = trusted.trust;
    if [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST].iter().any(|name| headers.contains_key(name)) {
        let nodes = from_right(headers, &X_FORWARDED_FOR).map(parse_node);
        let (client, depth) = if trust.client { walk(nodes, trusted, visit) } else { (None, 0) };
        let proto = outermost(headers, &X_FORWARDED_PROTO, depth).filter(|_| trust.scheme);
        let host = outermost(headers, &X_FORWARDED_HOST, depth).filter(|_| trust.host);
        Claim { client, scheme: proto.and_then(scheme), host: checked(host.map(Cow::Borrowed)) }
    } else {
        forwarded_claim(headers, trusted, visit)
    }
}

/// RFC 7239 §4: each element tells how the one who wrote it was reached.
fn forwarded_claim<'a>(headers: &'a HeaderMap, trusted: &TrustedProxies, visit: impl FnMut(IpAddr)) -> Claim<'a> {
    let trust = trusted.trust;
    let mut elements: Vec<&str> = headers.get_all(header::FORWARDED).iter().flat_map(elements).collect();
    elements.reverse();
    let nodes = elements.iter().map(|element| parameter(element, "for").and_then(|node| parse_node(node.as_bytes())));
    let (client, depth) = if trust.client { walk(nodes, trusted, visit) } else { (None, 0) };
    let outermost = |name| elements.iter().take(depth + 1).rev().find_map(|element| parameter(element, name));
    let scheme = outermost("proto").filter(|_| trust.scheme).as_deref().and_then(scheme);
    Claim { client, scheme, host: checked(outermost("host").filter(|_| trust.host)) }
}

/// Walks from the nearest hop outwards and stops at the first address that is not trusted, or that cannot be read. The last address that was
/// read, and how many trusted ones it lies behind: so many members of every other field were written by trusted proxies, besides the last.
fn walk(nodes: impl Iterator<Item = Option<IpAddr>>, trusted: &TrustedProxies, mut visit: impl FnMut(IpAddr)) -> (Option<IpAddr>, usize) {
    let (mut last, mut depth) = (None, 0);
    for node in nodes {
        let Some(address) = node else { break };
        visit(address);
        last = Some(address);
        if !trusted.contains(address) {
            break;
        }
        depth += 1;
    }
    (last, depth)
}

fn checked(host: Option<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    host.filter(|host| authority::is_valid(host.as_bytes()))
}

/// The member farthest out that a trusted proxy wrote, where so many addresses are those of trusted proxies.
fn outermost<'a>(headers: &'a HeaderMap, name: &HeaderName, depth: usize) -> Option<&'a str> {
    from_right(headers, name).take(depth + 1).last().and_then(|member| str::from_utf8(member).ok())
}

/// The members of a list field whose members have no quotes, the last one first. Bytes: an unreadable one must not hide those beside it.
fn from_right<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let lines = headers.get_all(name).iter().rev();
    lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b',')).map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// The elements of one line of `Forwarded`. Commas inside quoted strings do not part them (RFC 9110 §5.6.1), unless a quote is never closed:
/// a client could swallow with one what a proxy has written behind it.
fn elements(line: &HeaderValue) -> impl Iterator<Item = &str> {
    let text = line.to_str().unwrap_or_default();
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().for_each(|byte| _ = is_separator(&mut quoted, &mut escaped, byte, b','));
    let honest = !quoted;
    split_where(text, b',', honest).map(str::trim).filter(|element| !element.is_empty())
}

/// Splits at the separator; with `quotes`, only where it stands outside quoted strings.
fn split_where(text: &str, separator: u8, quotes: bool) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let byte = u8::try_from(c).unwrap_or(b'?');
        if quotes { is_separator(&mut quoted, &mut escaped, byte, separator) } else { byte == separator }
    })
}

/// Whether the next byte of a text parts it, given what stood before.
fn is_separator(quoted: &mut bool, escaped: &mut bool, byte: u8, separator: u8) -> bool {
    let ends = !*quoted && byte == separator;
    match byte {
        _ if *escaped => *escaped = false,
        b'\\' if *quoted => *escaped = true,
        b'"' => *quoted = !*quoted,
        _ => {}
    }
    ends
}

/// The value of one parameter of a `Forwarded` element, unquoted.
fn parameter<'a>(element: &'a str, name: &str) -> Option<Cow<'a, str>> {
    split_where(element, b';', true).find_map(|pair| {
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
fn parse_node(node: &[u8]) -> Option<IpAddr> {
    let node = str::from_utf8(node).ok()?;
    let bare = node.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(node);
    let address = bare.parse::<IpAddr>().ok().or_else(|| node.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(address.to_canonical())
}

fn scheme(name: &str) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|scheme| name.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Trust = Trust { client: true, scheme: true, host: true, certificate: true };

    fn trusted(trust: Trust) -> TrustedProxies {
        TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("CIDR"), "fd00::/8".parse().expect("CIDR")], trust)
    }

    type Believed = (Option<String>, Option<&'static str>, Option<String>);

    fn believed(trust: Trust, lines: &[(&'static str, &'static [u8])]) -> Believed {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).expect("a value"));
        }
        let trusted = trusted(trust);
        let claim = read_claim(&headers, &trusted, |_| ());
        (claim.client.map(|ip| ip.to_string()), claim.scheme, claim.host.map(Cow::into_owned))
    }

    fn claim_of(lines: &[(&'static str, &'static str)]) -> Believed {
        believed(ALL, &lines.iter().map(|(name, value)| (*name, value.as_bytes())).collect::<Vec<_>>())
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        let lines = [("x-forwarded-for", "6.6.6.6, 203.0.113.7"), ("x-forwarded-for", "10.1.1.1")];
        assert_eq!(claim_of(&lines).0.as_deref(), Some("203.0.113.7"));
        assert_eq!(claim_of(&[("x-forwarded-for", "10.1.1.1, 10.2.2.2")]).0.as_deref(), Some("10.1.1.1"));
        assert_eq!(claim_of(&[("x-forwarded-for", "203.0.113.7, rubbish, 10.1.1.1")]).0.as_deref(), Some("10.1.1.1"));
    }

    #[test]
    fn a_client_cannot_hide_what_a_proxy_wrote_behind_its_own_bytes() {
        assert_eq!(believed(ALL, &[("x-forwarded-for", b"\xff, 203.0.113.7")]).0.as_deref(), Some("203.0.113.7"));
        for forged in [r#"for=6.6.6.6;x=", for=203.0.113.7"#, r#"for=6.6.6.6;x="\", for=203.0.113.7"#, r#"x="\, for=203.0.113.7"#] {
            assert_eq!(claim_of(&[("forwarded", forged)]).0.as_deref(), Some("203.0.113.7"), "{forged}");
        }
    }

    #[test]
    fn members_on_the_clients_side_of_an_untrusted_address_are_nobodys_word() {
        let lines = [
            ("x-forwarded-for", "6.6.6.6, 203.0.113.7"),
            ("x-forwarded-proto", "https, http"),
            ("x-forwarded-host", "victim.example, a.example"),
        ];
        assert_eq!(claim_of(&lines), (Some("203.0.113.7".into()), Some("http"), Some("a.example".into())));
        let behind_two = [
            ("x-forwarded-for", "203.0.113.7, 10.1.1.1"),
            ("x-forwarded-proto", "gopher, https, http"),
            ("x-forwarded-host", "evil, a.example, b"),
        ];
        assert_eq!(claim_of(&behind_two), (Some("203.0.113.7".into()), Some("https"), Some("a.example".into())));
        let once = [("x-forwarded-for", "203.0.113.7, 10.1.1.1"), ("x-forwarded-proto", "https")];
        assert_eq!(claim_of(&once).1, Some("https"), "the inner proxy wrote none of its own");
    }

    #[test]
    fn only_what_is_trusted_is_believed() {
        let x = [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "a.example")];
        let one = [("forwarded", "for=203.0.113.7;proto=https;host=a.example")];
        for lines in [&x[..], &one[..]] {
            let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            assert_eq!(believed(Trust::default(), &lines), (Some("203.0.113.7".into()), Some("https"), None));
            assert_eq!(believed(Trust { scheme: false, ..ALL }, &lines), (Some("203.0.113.7".into()), None, Some("a.example".into())));
            assert_eq!(believed(Trust { client: false, ..ALL }, &lines), (None, Some("https"), Some("a.example".into())));
        }
        let two = [("x-forwarded-for", "203.0.113.7, 10.1.1.1".as_bytes()), ("x-forwarded-proto", b"https, http")];
        assert_eq!(believed(Trust { client: false, ..ALL }, &two).1, Some("http"), "the writer of the first is not known");
    }

    #[test]
    fn rfc7239_4_the_outermost_trusted_element_names_scheme_and_host() {
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
        assert_eq!(claim_of(&[("x-forwarded-proto", "HTTPS")]).1, Some("https"));
    }

    #[test]
    fn a_host_that_is_none_is_not_believed_from_anyone() {
        for host in ["user@evil", "a/../b", "[::1", "a b", "a..b"] {
            assert_eq!(claim_of(&[("x-forwarded-host", host)]).2, None, "{host}");
        }
    }

    #[test]
    fn an_ipv4_address_mapped_into_ipv6_is_the_same_address() {
        assert!(trusted(ALL).contains("::ffff:10.9.9.9".parse().expect("address")));
        assert!(!trusted(ALL).contains("::ffff:192.0.2.1".parse().expect("address")));
    }
}
