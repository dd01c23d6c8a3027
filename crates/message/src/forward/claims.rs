//! Fields in which a request says who sends it.

use http::HeaderName;

/// The claim of a field, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claimed {
    /// The way of the request. This gateway writes these fields itself and drops all others.
    Way,
    /// The client's address, as nginx names it. Where a trusted proxy sends it, it goes on with the address that is believed.
    RealIp,
    /// The client's address as others name it, or the URL before a proxy changed it. Trusted proxies may tell it.
    Other,
}

/// Fields that some take for what `Forwarded` says, the scheme above all, besides every `X-Forwarded-*`. `Proxy` would become the variable that tells
/// programs their proxy (httpoxy).
const WAYS: [&str; 10] = [
    "forwarded",
    "x-forwarded",
    "forwarded-for",
    "front-end-https",
    "https",
    "x-scheme",
    "x-url-scheme",
    "x-original-proto",
    "x-original-scheme",
    "proxy",
];

/// The names under which servers, proxies and frameworks look for the client's address, besides those with a meaning of their own here, and
/// for what a proxy was asked for.
const OTHERS: [&str; 19] = [
    "true-client-ip",
    "x-client-ip",
    "client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "fastly-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-envoy-external-address",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-remote-ip",
    "x-remote-addr",
    "x-originating-ip",
    "proxy-client-ip",
    "wl-proxy-client-ip",
    "x-original-host",
    "x-original-uri",
];

/// The claim of a field. CGI and its heirs (WSGI, Rack, PHP) take `-` and `_` in a name for the same, so both are; with `_` it is no proxy's.
pub(super) fn of(name: &HeaderName) -> Option<Claimed> {
    let name = name.as_str();
    // Origins read `X-Forwarded-Port`, `-Prefix`, `-Server` and others too, and none of them is part of a key.
    let way = begins(name, "x-forwarded-") || WAYS.iter().any(|way| same(name, way));
    let claimed = match () {
        () if way => Claimed::Way,
        () if same(name, "x-real-ip") => Claimed::RealIp,
        () if OTHERS.iter().any(|address| same(name, address)) => Claimed::Other,
        () => return None,
    };
    Some(if name.contains('_') { Claimed::Way } else { claimed })
}

/// Whether both are the same name to an origin that cannot tell `-` from `_`.
pub(super) fn same(name: &str, other: &str) -> bool {
    name.len() == other.len() && begins(name, other)
}

/// Field names are in lower case here.
fn begins(name: &str, beginning: &str) -> bool {
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
    name.len() >= beginning.len() && name.bytes().zip(beginning.bytes()).all(|(one, other)| dashed(one) == dashed(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_name_claims_the_same() {
        let claimed = |name: &'static str| of(&HeaderName::from_static(name));
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded_port",
            "x-forwarded-prefix",
            "x_forwarded",
            "proxy",
            "x-scheme",
            "front-end-https",
        ] {
            assert_eq!(claimed(name), Some(Claimed::Way), "{name}");
        }
        assert_eq!(claimed("x-real-ip"), Some(Claimed::RealIp));
        for name in ["true-client-ip", "x-client-ip", "cf-connecting-ip", "client-ip", "x-original-forwarded-for"] {
            assert_eq!(claimed(name), Some(Claimed::Other), "{name}");
        }
        for name in ["x_real_ip", "true_client_ip", "x-client_ip", "client_ip"] {
            assert_eq!(claimed(name), Some(Claimed::Way), "{name}: no proxy spells it so");
        }
        for name in ["forwarded-to", "x-forwarder", "proxy-x", "x-real", "client", "x-client-ip-hash", "accept"] {
            assert_eq!(claimed(name), None, "{name}");
        }
    }
}
