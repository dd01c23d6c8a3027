//! The clients that a request counts for.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use larder_semantics::TokenVerifier;
use larder_semantics::key::{put_claim, put_cookie, put_header, put_value, put_verified_claim};
use smallvec::SmallVec;

use crate::config::LimitKey;
use crate::path_reading;

/// Between the parts of a key.
const SEPARATOR: char = '/';

/// Before a client that stands in for what a request does not have. No readable value begins so.
const STAND_IN: char = '!';

thread_local! {
    /// Every request of this thread derives its keys here, so none allocates.
    static TEXT: RefCell<String> = RefCell::default();
}

/// The keys of a request under the limits of its route, in their order. Mostly short enough to lie in place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    text: SmallVec<[u8; 192]>,
    ends: SmallVec<[u16; 8]>,
}

/// The facts of a request that keys are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyFacts<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) client: IpAddr,
    pub(crate) route: &'a str,
    /// The parts of the path that the route's template names.
    pub(crate) captures: &'a [(&'a str, &'a str)],
    /// What verifies tokens.
    pub(crate) tokens: Option<&'a dyn TokenVerifier>,
}

impl Keys {
    /// The keys by these rules, one for each.
    pub(super) fn of<'k>(rules: impl Iterator<Item = &'k [LimitKey]>, facts: KeyFacts<'_>) -> Self {
        TEXT.with_borrow_mut(|text| {
            text.clear();
            let mut ends = SmallVec::new();
            for parts in rules {
                for (place, part) in parts.iter().enumerate() {
                    if place > 0 {
                        text.push(SEPARATOR);
                    }
                    put(part, facts, text);
                }
                ends.push(u16::try_from(text.len()).unwrap_or(u16::MAX));
            }
            Self { text: SmallVec::from_slice(text.as_bytes()), ends }
        })
    }

    /// The key under the limit at this place.
    pub(super) fn get(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        let end = self.ends.get(place).copied().unwrap_or(start);
        // It was made of text, and its ends are those of parts.
        self.text.get(usize::from(start)..usize::from(end)).and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default()
    }
}

fn put(part: &LimitKey, facts: KeyFacts<'_>, text: &mut String) {
    let is_there = match part {
        LimitKey::Client => return put_client(facts.client, text),
        LimitKey::Route => return put_value(text, facts.route.as_bytes()),
        LimitKey::Header(name) => put_header(facts.headers, name, text),
        LimitKey::Cookie(name) => put_cookie(facts.headers, name, text),
        LimitKey::Claim(name) => put_verified_claim(facts.headers, name, facts.tokens, text),
        LimitKey::UnverifiedClaim(name) => put_claim(facts.headers, name, text),
        LimitKey::Path(name) => {
            let capture = facts.captures.iter().find(|(own, _)| own == name);
            // Many origins take `acme;1`, `acme;2` and so on for `acme`: each would have a limit of its own.
            capture.map(|(_, value)| put_value(text, path_reading::simplified_part(value).as_bytes())).is_some()
        }
    };
    if !is_there {
        text.push(STAND_IN);
        put_client(facts.client, text);
    }
}

/// Whoever has one address of IPv6 has all of its network of 64 bits.
fn put_client(client: IpAddr, text: &mut String) {
    // Writing to a String cannot fail.
    let _ = match client.to_canonical() {
        IpAddr::V4(address) => write!(text, "{address}"),
        IpAddr::V6(address) => write!(text, "{}", Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    };
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn keys(rules: &[&[LimitKey]], client: &str, lines: &[(&'static str, &'static str)]) -> Vec<String> {
        let headers = lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        let client = client.parse().expect("an address");
        let facts = KeyFacts { headers: &headers, client, route: "issue.list", captures: &[("org", "acme")], tokens: None };
        let keys = Keys::of(rules.iter().copied(), facts);
        (0..rules.len()).map(|place| keys.get(place).to_owned()).collect()
    }

    fn header(name: &'static str) -> LimitKey {
        LimitKey::Header(HeaderName::from_static(name))
    }

    #[test]
    fn a_key_has_its_parts_in_order_and_each_limit_its_own() {
        let org = LimitKey::Path("org".to_owned());
        let rules: [&[LimitKey]; 3] = [&[LimitKey::Client], &[LimitKey::Route, org, header("x-tenant")], &[header("x-tenant")]];
        assert_eq!(keys(&rules, "192.0.2.1", &[("x-tenant", "t-7")]), ["192.0.2.1", "issue.list/acme/t-7", "t-7"]);
    }

    #[test]
    fn the_addresses_of_one_network_are_one_client() {
        for (address, key) in [
            ("2001:db8:0:1::7", "2001:db8:0:1::"),
            ("2001:db8:0:1:ffff::1", "2001:db8:0:1::"),
            ("2001:db8:0:2::7", "2001:db8:0:2::"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(keys(&[&[LimitKey::Client]], address, &[]), [key]);
        }
    }

    #[test]
    fn a_client_stands_in_for_what_its_request_lacks_and_nobody_can_pass_for_it() {
        let rules: [&[LimitKey]; 2] = [&[header("x-tenant")], &[LimitKey::Cookie("s".to_owned())]];
        assert_eq!(keys(&rules, "192.0.2.1", &[]), ["!192.0.2.1", "!192.0.2.1"]);
        assert!(keys(&rules, "192.0.2.2", &[("x-tenant", "!192.0.2.1")])[0].starts_with('*'));
    }

    #[test]
    fn a_junk_line_beside_a_credential_makes_no_client_with_a_limit_of_its_own() {
        let rules: [&[LimitKey]; 2] = [&[header("authorization")], &[LimitKey::Cookie("s".to_owned())]];
        for junk in ["Bearer j1", "Bearer j2"] {
            let lines = [("authorization", "Bearer K"), ("authorization", junk), ("cookie", "s=1; s=2")];
            assert_eq!(keys(&rules, "192.0.2.1", &lines), ["!192.0.2.1", "!192.0.2.1"]);
        }
    }

    #[test]
    fn parameters_of_a_segment_make_no_other_client() {
        let key = |captured: &str| {
            let headers = HeaderMap::new();
            let client = "192.0.2.1".parse().expect("an address");
            let facts = KeyFacts { headers: &headers, client, route: "all", captures: &[("org", captured)], tokens: None };
            Keys::of(std::iter::once(&[LimitKey::Path("org".to_owned())][..]), facts).get(0).to_owned()
        };
        for same in ["acme;1", "acme;v=2;w", "acme%3b3"] {
            assert_eq!(key(same), "acme", "{same}");
        }
        assert_eq!(key("acme;1/a;2/b"), key("acme/a/b"));
        assert_ne!(key("acme/a"), key("acme"));
        assert_eq!((key("acme.de").as_str(), key("ACME").as_str()), ("acme.de", "ACME"));
    }

    #[test]
    fn a_credential_stands_in_a_key_as_a_hash() {
        let key = &keys(&[&[header("authorization")]], "192.0.2.1", &[("authorization", "Bearer hush")])[0];
        assert!(key.starts_with('*') && key.len() == 41 && !key.contains("hush"), "{key}");
    }
}
