use http::HeaderValue;
use http::header::{AUTHORIZATION, COOKIE};
use proptest::prelude::*;

use super::*;

fn rules() -> KeyRules {
    KeyRules {
        namespace: "default".into(),
        version: 1,
        query: QueryRules { sort: true, drop: vec!["utm_*".into(), "fbclid".into()], drop_empty: false, bypass: Some("no_cache".into()) },
        identity: Vec::new(),
    }
}

fn target<'a>(scheme: &'a str, authority: &'a str, path: &'a str, query: Option<&'a str>) -> Target<'a> {
    Target { scheme, authority, path, query }
}

fn key(rules: &KeyRules, target: Target<'_>, headers: &HeaderMap) -> KeyBuffer {
    let mut buffer = KeyBuffer::default();
    rules.derive(target, headers, &mut buffer);
    buffer
}

fn url(query: &str) -> String {
    rules().url_of(target("http", "example.com", "/a", Some(query)))
}

#[test]
fn a_key_reads_like_a_url() {
    let found = key(&rules(), target("http", "Example.COM:80", "/A/%7Eb", Some("b=2&a=1")), &HeaderMap::new());
    assert_eq!(found.text(), "v1:default:GET:http://example.com/A/%7Eb?a=1&b=2");
    assert_eq!(found.url(), "http://example.com/A/%7Eb?a=1&b=2");
    assert!(!found.identified());
    assert_eq!(found.to_key().url(), found.url());
}

#[test]
fn rfc9110_4_2_3_equivalent_uris_have_one_key() {
    let urls = [
        target("https", "example.com", "/", None),
        target("HTTPS", "EXAMPLE.com:443", "/", None),
        target("https", "example.com:", "", None),
    ];
    for target in urls {
        assert_eq!(rules().url_of(target), "https://example.com/");
    }
    assert_eq!(rules().url_of(target("http", "example.com:443", "/", None)), "http://example.com:443/");
    assert_eq!(rules().url_of(target("http", "[::1]:80", "/", None)), "http://[::1]/");
}

#[test]
fn the_query_is_sorted_and_repeated_names_keep_their_order() {
    assert_eq!(url("b=1&a=2&b=0&a=1"), "http://example.com/a?a=2&a=1&b=1&b=0");
    assert_eq!(url(""), "http://example.com/a?");
}

#[test]
fn dropped_parameters_leave_no_trace() {
    assert_eq!(url("utm_source=x&a=1&fbclid=y&no_cache=true"), "http://example.com/a?a=1");
    assert_eq!(url("utm_source=x"), "http://example.com/a");
    assert_eq!(url("fbclid2=y"), "http://example.com/a?fbclid2=y");
}

#[test]
fn a_dropped_parameter_takes_no_other_with_it() {
    // To some origins `;` parts parameters, so this is one about `id` too.
    assert_eq!(url("utm_source=x;id=5"), "http://example.com/a?utm_source=x;id=5");
    assert_eq!(url("a=1&utm_source=x%3Bid=5"), "http://example.com/a?a=1");
}

#[test]
fn names_that_are_one_in_another_spelling_keep_their_order() {
    assert_ne!(url("a=1&%61=2"), url("%61=2&a=1"));
    assert_ne!(url("b=1;a=1&a=2"), url("a=2&b=1;a=1"));
    assert_ne!(url("z=0&a+b=1&a%20b=2"), url("z=0&a%20b=2&a+b=1"));
    assert_eq!(url("f%5Ba%5D=1&b=2"), url("b=2&f%5Ba%5D=1"), "no other name is meant");
}

#[test]
fn empty_values_are_dropped_where_asked() {
    let mut rules = rules();
    rules.query.drop_empty = true;
    assert_eq!(rules.url_of(target("http", "h", "/", Some("a=&b&&c=1"))), "http://h/?b&c=1");
}

#[test]
fn the_bypass_parameter_is_set_unless_it_says_no() {
    let query = rules().query;
    for set in ["no_cache", "no_cache=", "no_cache=true", "a=1&no_cache=1", "no_cache=YES"] {
        assert!(query.is_bypassed(Some(set)), "{set}");
    }
    for unset in ["no_cache=false", "no_cache=0", "no_cache=No", "no_cached=1", "a=no_cache", ""] {
        assert!(!query.is_bypassed(Some(unset)), "{unset}");
    }
    assert!(!query.is_bypassed(None));
}

#[test]
fn upstream_gets_every_byte_but_the_bypass_parameter() {
    let query = rules().query;
    for (sent, expected) in [
        ("/a?b=%20&&x=1&no_cache=true&utm_x=2", Some("/a?b=%20&&x=1&utm_x=2")),
        ("/a?no_cache=true", Some("/a")),
        ("/a?no_cache=0&b", Some("/a?b")),
        ("http://h:80/a/../b?no_cache&%7E", Some("http://h:80/a/../b?%7E")),
        ("/a?", None),
        ("/a?b&c=1&&", None),
        ("/no_cache", None),
        ("*", None),
    ] {
        let found = query.without_bypass(&sent.parse().unwrap());
        assert_eq!(found.map(|uri| uri.to_string()).as_deref(), expected, "{sent}");
    }
}

#[test]
fn an_identity_is_a_hash_and_never_the_secret() {
    let mut rules = rules();
    rules.identity = vec![IdentityPart::Header(AUTHORIZATION), IdentityPart::Cookie("sid".into())];
    let at = target("http", "h", "/", None);
    let with = |pairs: &[(HeaderName, &'static str)]| {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        key(&rules, at, &headers)
    };
    let token = with(&[(AUTHORIZATION, "Bearer secret")]);
    assert!(token.identified() && !token.text().contains("secret"));
    assert_eq!((token.url(), token.to_key().url()), ("http://h/", "http://h/"));
    assert_eq!(token.to_key().identity().map(str::len), Some(40));
    assert_eq!(token.text().len(), "v1:default:GET:http://h/ #identity=".len() + 40);
    assert_ne!(token.text(), with(&[(AUTHORIZATION, "Bearer other")]).text());
    assert_ne!(token.text(), with(&[(COOKIE, "sid=Bearer secret")]).text());
    assert_eq!(with(&[(COOKIE, "a=b; sid=1")]).text(), with(&[(COOKIE, "sid=1;c=d")]).text());
    assert!(!with(&[(COOKIE, "sidx=1; asid=2")]).identified());
    assert!(!with(&[]).identified());
}

#[test]
fn cookies_are_overlooked_where_an_identity_is_made_of_something_else() {
    let (token, sid) = (IdentityPart::Header(AUTHORIZATION), IdentityPart::Cookie("sid".into()));
    let field = IdentityPart::Header(http::header::COOKIE);
    let cookies = HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::from_static("session=1"))]);
    for (identity, overlooked) in
        [(vec![], false), (vec![token.clone()], true), (vec![sid.clone()], false), (vec![token.clone(), sid], false), (vec![field], false)]
    {
        let rules = KeyRules { identity, ..rules() };
        assert_eq!(rules.overlooks(&cookies), overlooked, "{:?}", rules.identity);
        assert!(!rules.overlooks(&HeaderMap::new()));
    }
}

#[test]
fn parts_of_an_identity_cannot_run_into_each_other() {
    let name = |text| HeaderName::from_static(text);
    let mut rules = rules();
    rules.identity = vec![IdentityPart::Header(name("x-a")), IdentityPart::Header(name("x-b"))];
    let with = |pairs: &[(&'static str, &'static str)]| {
        let mut headers = HeaderMap::new();
        pairs.iter().for_each(|(name, value)| _ = headers.append(*name, HeaderValue::from_static(value)));
        key(&rules, target("http", "h", "/", None), &headers).text().to_owned()
    };
    let all = [
        with(&[("x-a", "12")]),
        with(&[("x-a", "1"), ("x-b", "2")]),
        with(&[("x-b", "12")]),
        with(&[("x-a", "1"), ("x-a", "2")]),
        with(&[("x-a", "12"), ("x-b", "")]),
    ];
    let distinct: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

/// Text full of separators.
fn part() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[ab:/?#&= %]{0,6}").unwrap()
}

proptest! {
    #[test]
    fn keys_are_free_of_the_order_of_names(mut pairs in prop::collection::vec(("[a-c]{1,2}", "[0-9]{0,2}"), 0..8), seed in any::<u64>()) {
        let text = |pairs: &[(String, String)]| pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let before = url(&text(&pairs));
        // Any order that keeps repeated names in theirs.
        let mut tagged = std::mem::take(&mut pairs);
        tagged.sort_by_key(|(name, _)| name.bytes().fold(seed, |sum, byte| sum.rotate_left(7).wrapping_mul(31) ^ u64::from(byte)));
        prop_assert_eq!(before, url(&text(&tagged)));
    }

    #[test]
    fn different_requests_have_different_keys(
        one in (part(), part(), part(), proptest::option::of(part())),
        other in (part(), part(), part(), proptest::option::of(part())),
    ) {
        let mut rules = rules();
        rules.query.sort = false;
        let text = |(namespace, authority, path, query): &(String, String, String, Option<String>)| {
            let mut rules = rules.clone();
            rules.namespace.clone_from(namespace);
            key(&rules, target("http", authority, path, query.as_deref()), &HeaderMap::new()).text().to_owned()
        };
        // The equivalences of RFC 9110 §4.2.3 are wanted: an empty port and an empty path.
        let canonical = |parts: &(String, String, String, Option<String>)| {
            let mut parts = parts.clone();
            if parts.1.ends_with(':') { parts.1.pop(); }
            if parts.2.is_empty() { parts.2.push('/'); }
            parts
        };
        prop_assert_eq!(canonical(&one) == canonical(&other), text(&one) == text(&other));
    }

    #[test]
    fn an_identity_cannot_be_imitated_by_a_url(path in part(), query in proptest::option::of(part())) {
        let found = key(&rules(), target("http", "h", &path, query.as_deref()), &HeaderMap::new());
        prop_assert!(!found.text().contains(" #"));
    }

    #[test]
    fn invalidation_by_uri_names_the_same_url(authority in part(), path in part(), query in proptest::option::of(part())) {
        let at = target("https", &authority, &path, query.as_deref());
        let found = key(&rules(), at, &HeaderMap::new());
        prop_assert_eq!(found.url(), rules().url_of(at));
        let kept = found.to_key();
        prop_assert_eq!(kept.url(), found.url());
    }
}
