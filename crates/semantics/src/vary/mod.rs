//! Secondary keys (RFC 9111 §4.1).

mod accept;
mod normalize;

use std::borrow::Cow;

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_ENCODING, FORWARDED, VARY, VIA};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::head::stored::StoredHead;
use crate::policy::Policy;

const X_FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The selecting header fields of a stored response: lower-case, sorted, without repeats.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VarySpec(Box<[HeaderName]>);

impl VarySpec {
    /// From field names in any order.
    pub fn new(mut names: Vec<HeaderName>) -> Self {
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        Self(names.into())
    }

    /// The selecting fields that a response names on all its `Vary` lines; without names where there is no `Vary`. `None` for `*`, which
    /// "always fails to match" (§4.1), for a member that is no field name (it cannot be compared), and for the fields that a
    /// gateway writes for each client anew (`tells_the_client`).
    pub fn of_response(headers: &HeaderMap) -> Option<Self> {
        Self::of_response_less(headers, &[])
    }

    /// The same as if the response did not name the `ignored` fields.
    pub fn of_response_less(headers: &HeaderMap, ignored: &[HeaderName]) -> Option<Self> {
        let lines = headers.get_all(VARY).iter();
        let members = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
        let counts = |member: &&[u8]| !ignored.iter().any(|name| member.eq_ignore_ascii_case(name.as_str().as_bytes()));
        let names = members.filter(|member| !member.is_empty()).filter(counts).map(|member| match member {
            b"*" => None,
            name => HeaderName::from_bytes(name).ok().filter(|name| !tells_the_client(name)),
        });
        names.collect::<Option<Vec<_>>>().map(Self::new)
    }

    /// The same on a route: the fields that it ignores do not count, and where http and https have one key, the scheme is told to the origin for
    /// each client anew, too.
    pub fn on_route(policy: &Policy, headers: &HeaderMap) -> Option<Self> {
        let spec = Self::of_response_less(headers, &policy.ignore_vary)?;
        let differs = policy.shares_schemes && spec.names().iter().any(|name| name.as_str() == X_FORWARDED_PROTO);
        (!differs).then_some(spec)
    }

    /// The names.
    pub fn names(&self) -> &[HeaderName] {
        &self.0
    }

    /// The secondary key of a request with these fields: each selecting field's value, normalised as that field allows.
    pub fn secondary_key(&self, request: &HeaderMap) -> SecondaryKey {
        let mut text = String::new();
        self.write_secondary_key(request, &mut text);
        SecondaryKey(text.into_boxed_str())
    }

    /// Appends the text of [`Self::secondary_key`] to `out`, which allocates nothing once `out` has grown.
    pub fn write_secondary_key(&self, request: &HeaderMap, out: &mut String) {
        for name in &self.0 {
            normalize::write_field(request, name, out);
        }
    }
}

/// Whether the field identifies the client or its way to this gateway, and is written or removed by the gateway behind the cache. Two requests with
/// equal fields at the cache then differ at the origin. Scheme and host are in the key ([`VarySpec::on_route`] where they are not).
fn tells_the_client(name: &HeaderName) -> bool {
    const WRITTEN: [&str; 7] =
        ["cdn-loop", "x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "cf-connecting-ip", "x-cluster-client-ip"];
    let text = name.as_str();
    let is_in_key = matches!(text, X_FORWARDED_PROTO | "x-forwarded-host");
    *name == FORWARDED || *name == VIA || (text.starts_with("x-forwarded-") && !is_in_key) || WRITTEN.contains(&text)
}

pub(crate) use accept::weight_of_coding;

/// Whether a request names every coding of a stored representation among those that it accepts (RFC 9110 §12.5.3).
pub(crate) fn names_codings_of(request: &HeaderMap, stored: &StoredHead) -> bool {
    let lines = stored.headers.lines().filter(|(name, _)| **name == CONTENT_ENCODING);
    let mut codings = lines.flat_map(|(_, value)| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    codings.all(|coding| {
        coding.is_empty()
            || coding.eq_ignore_ascii_case(b"identity")
            || accept::names_coding(request.get_all(ACCEPT_ENCODING).iter(), coding)
    })
}

/// The selecting fields' values of one request, as length-safe text: `name=length:value;` for each, `name=-;` for an absent one,
/// `name=#hash;` for credentials and very long values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecondaryKey(Box<str>);

impl SecondaryKey {
    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Fields of a request that selects by this key; `None` where a hash stands for a value.
    pub fn fields(&self) -> Option<HeaderMap> {
        let mut fields = HeaderMap::new();
        let mut rest = self.text();
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=')?;
            if let Some(after) = after.strip_prefix("-;") {
                rest = after;
                continue;
            }
            let (length, after) = after.split_once(':')?;
            let (value, after) = after.split_at_checked(length.parse().ok()?)?;
            rest = after.strip_prefix(';')?;
            let name = HeaderName::try_from(name).ok()?;
            let ranked = name == ACCEPT_ENCODING || name == ACCEPT_LANGUAGE;
            let value = if ranked { accept::from_ranked(value)?.into() } else { Cow::Borrowed(value) };
            // Each byte stands as the character of its number.
            let bytes: Vec<u8> = value.chars().map(u8::try_from).collect::<Result<_, _>>().ok()?;
            fields.insert(name, HeaderValue::from_bytes(&bytes).ok()?);
        }
        Some(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn same(field: &'static str, one: &[&'static str], other: &[&'static str]) -> bool {
        let spec = VarySpec::new(vec![HeaderName::from_static(field)]);
        let key = |lines: &[&'static str]| spec.secondary_key(&map(&lines.iter().map(|line| (field, *line)).collect::<Vec<_>>()));
        key(one) == key(other)
    }

    #[test]
    fn rfc9111_4_1_names_on_several_lines_in_any_case_and_order() {
        let one = VarySpec::of_response(&map(&[("vary", "Accept-Encoding, X-A"), ("vary", " ,x-b,, ACCEPT-encoding")])).unwrap();
        let other = VarySpec::of_response(&map(&[("vary", "x-b, x-a, accept-encoding")])).unwrap();
        assert_eq!(one, other);
        assert_eq!(one.names().len(), 3);
        assert!(VarySpec::of_response(&map(&[])).unwrap().names().is_empty());
    }

    #[test]
    fn rfc9111_4_1_a_star_or_an_unreadable_member_never_matches() {
        for value in ["*", "accept, *", "*, accept", "bad name", "a/b", "X-Forwarded-For", "accept, Forwarded"] {
            assert_eq!(VarySpec::of_response(&map(&[("vary", value)])), None, "{value}");
        }
    }

    #[test]
    fn rfc9111_4_1_where_http_and_https_have_one_key_nothing_is_selected_by_the_scheme() {
        let selects = |policy: &Policy, value| VarySpec::on_route(policy, &map(&[("vary", value)])).is_some();
        let shared = Policy { shares_schemes: true, ..Policy::default() };
        assert!(selects(&Policy::default(), "accept, X-Forwarded-Proto") && selects(&shared, "accept, x-forwarded-host"));
        assert!(!selects(&shared, "accept, X-Forwarded-Proto"));
        assert!(selects(&Policy { ignore_vary: vec![HeaderName::from_static("x-forwarded-proto")], ..shared }, "X-Forwarded-Proto"));
    }

    #[test]
    fn rfc9111_4_1_absent_and_empty_differ() {
        assert!(!same("x-a", &[], &[""]));
        assert!(same("x-a", &[], &[]));
        assert!(same("x-a", &[""], &["  "]));
    }

    #[test]
    fn rfc9111_4_1_lines_are_combined_and_white_space_at_commas_goes() {
        assert!(same("x-a", &["1", "2"], &["1,2"]));
        assert!(same("x-a", &["1 ,  2"], &["1,2"]));
        assert!(!same("x-a", &["1,2"], &["2,1"]));
        assert!(!same("x-a", &["a"], &["A"]));
        assert!(!same("x-a", &["a  b"], &["a b"]));
        assert!(!same("x-a", &["\"a, b\""], &["\"a,b\""]));
    }

    #[test]
    fn values_cannot_imitate_each_other() {
        let spec = VarySpec::new(vec![HeaderName::from_static("a"), HeaderName::from_static("b")]);
        let one = spec.secondary_key(&map(&[("a", "1;b=1:2"), ("b", "3")]));
        let other = spec.secondary_key(&map(&[("a", "1"), ("b", "2;b=1:3")]));
        assert_ne!(one, other);
        assert_ne!(spec.secondary_key(&map(&[("a", "-")])), spec.secondary_key(&map(&[])));
    }

    #[test]
    fn a_key_holds_no_credentials() {
        for name in ["authorization", "cookie"] {
            let spec = VarySpec::new(vec![HeaderName::from_static(name)]);
            let key = spec.secondary_key(&map(&[(name, "secret=1")]));
            assert!(key.text().starts_with(&format!("{name}=#")) && !key.text().contains("secret"), "{key:?}");
            assert_ne!(key, spec.secondary_key(&map(&[(name, "secret=2")])));
        }
        let long: &'static str = Box::leak("x".repeat(5000).into_boxed_str());
        assert!(VarySpec::new(vec![HeaderName::from_static("x-a")]).secondary_key(&map(&[("x-a", long)])).text().len() < 60);
    }

    #[test]
    fn a_request_made_of_a_key_has_that_key() {
        let spec = VarySpec::new(["accept-encoding", "x-a", "x-b", "x-c"].map(HeaderName::from_static).to_vec());
        let mut request = map(&[("accept-encoding", "br;q=0.5, gzip"), ("x-a", "1;x-b=1:2"), ("x-a", "3"), ("x-c", "")]);
        request.append("x-a", HeaderValue::from_bytes(b"\xe9").unwrap());
        let key = spec.secondary_key(&request);
        assert_eq!(spec.secondary_key(&key.fields().expect("no hash")), key);
        for (name, value) in [
            ("accept-encoding", "br, gzip;q=0.9, *;q=0"),
            ("accept-encoding", "gzip, *;q=0.1, zstd;q=0, br;q=0.001"),
            ("accept-encoding", "identity;q=0"),
            ("accept-encoding", "gz ip, br"),
            ("accept-encoding", ""),
            ("accept-language", "de-CH, de;q=0.9, en;q=0.9, *;q=0.5"),
            ("accept", "Text/HTML;level=1, */*;q=0.8"),
        ] {
            let spec = VarySpec::new(vec![HeaderName::from_static(name)]);
            let key = spec.secondary_key(&map(&[(name, value)]));
            assert_eq!(spec.secondary_key(&key.fields().expect("no hash")), key, "{name}: {value}");
        }
        let secret = VarySpec::new(vec![HeaderName::from_static("cookie")]);
        assert_eq!(secret.secondary_key(&map(&[("cookie", "a=1")])).fields(), None);
    }

    #[test]
    fn bytes_outside_ascii_differ() {
        let spec = VarySpec::new(vec![HeaderName::from_static("a")]);
        let key = |byte: u8| {
            spec.secondary_key(&HeaderMap::from_iter([(HeaderName::from_static("a"), HeaderValue::from_bytes(&[byte]).unwrap())]))
        };
        assert_ne!(key(0xe9), key(0xe8));
    }
}
