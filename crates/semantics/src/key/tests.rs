mod identity;

use http::HeaderValue;
use http::header::{AUTHORIZATION, COOKIE};
use proptest::prelude::*;

use super::*;

fn rules() -> KeyRules {
    KeyRules {
        namespace: "default".into(),
        version: 1,
        query: QueryRules {
            sort: true,
            drop: vec!["utm_*".into(), "fbclid".into()],
            bypass: Some("no_cache".into()),
            ..QueryRules::default()
        },
        ..KeyRules::default()
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
fn upstream_gets_nothing_that_the_key_leaves_out_where_its_answer_may_be_stored() {
    let mut query = QueryRules { drop_empty: true, ..rules().query };
    for (sent, expected) in [
        ("/a?utm_source=evil&b=%20&fbclid=x", Some("/a?b=%20")),
        ("/a?utm_source=evil", Some("/a")),
        ("/a?no_cache=0&utm_x&b", Some("/a?b")),
        ("/a?c=&b&&a=1", Some("/a?b&a=1")),
        ("/a?utm_source=x;b=1", None),
        ("/a?b&a", None),
        ("/utm_source=1", None),
    ] {
        assert_eq!(query.as_in_key(&sent.parse().unwrap()).map(|uri| uri.to_string()).as_deref(), expected, "{sent}");
        let rules = KeyRules { query: query.clone(), ..rules() };
        let in_key = |uri: &str| rules.url_of(target("http", "h", "/a", uri.split_once('?').map(|(_, query)| query)));
        assert_eq!(in_key(expected.unwrap_or(sent)), in_key(sent), "one key: {sent}");
    }
    assert!(
        query.went_up_unkeyed(Some("a=1&utm_source=x")) && !query.went_up_unkeyed(Some("a=1&no_cache")) && !query.went_up_unkeyed(None)
    );
    query.send_dropped = true;
    assert_eq!(query.as_in_key(&"/a?utm_source=evil".parse().unwrap()), None);
    assert_eq!(query.as_in_key(&"/a?utm_source=evil&no_cache".parse().unwrap()).unwrap(), "/a?utm_source=evil");
    assert!(!query.went_up_unkeyed(Some("utm_source=x")));
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

fn cookies(lines: &[&'static str]) -> HeaderMap {
    lines.iter().map(|line| (COOKIE, HeaderValue::from_static(line))).collect()
}

fn with_cookies(key: &[&str], ignored: &[&str]) -> KeyRules {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    KeyRules { cookies: CookieRules { key: own(key), ignored: own(ignored) }, ..rules() }
}

#[test]
fn cookies_of_the_key_are_readable_and_leave_the_url_as_it_is() {
    let rules = with_cookies(&["locale", "tenant"], &[]);
    let at = target("http", "h", "/", Some("a=1"));
    let of = |lines: &[&'static str]| key(&rules, at, &cookies(lines)).text().trim_start_matches("v1:default:GET:").to_owned();
    assert_eq!(of(&[]), "http://h/?a=1");
    assert_eq!(of(&["other=1"]), "http://h/?a=1");
    assert_eq!(of(&["tenant=x; locale=de"]), "http://h/?a=1 #cookies=locale=de;tenant=x");
    assert_eq!(of(&["locale=de", "tenant=x"]), of(&["tenant=x; other=1; locale=de"]), "on lines of their own");
    assert_eq!(of(&["locale="]), "http://h/?a=1 #cookies=locale=", "empty is not absent");
    assert_eq!(of(&["locale=de; locale=fr"]), "http://h/?a=1 #cookies=locale=de;locale=fr");
    let found = key(&rules, at, &cookies(&["locale=de"]));
    assert_eq!((found.url(), found.to_key().url(), found.to_key().identity()), ("http://h/?a=1", "http://h/?a=1", None));
}

#[test]
fn a_cookie_of_the_key_cannot_pass_for_another_or_for_an_identity() {
    let rules = with_cookies(&["a", "b"], &[]);
    let of = |line: &'static str| key(&rules, target("http", "h", "/", None), &cookies(&[line])).text().to_owned();
    for value in ["a=1;b=2", "a=\"1;b=2\"", "a=1 #identity=0", "a= #cookies=b=1", "a=*0", "a=(1)", "a=1%3bb=2"] {
        let text = of(value);
        assert!(text.matches('#').count() == 1 && !text.contains("identity"), "{text}");
    }
    assert!(of("a=1 #identity=0").len() == of("a=#").len(), "a hash stands for what could be misread");
    assert_ne!(of("a=1; b=2"), of("a=1%3Bb=2"));
}

#[test]
fn an_identity_stands_behind_the_cookies_of_the_key() {
    let rules = KeyRules { identity: vec![IdentityPart::Cookie("sid".into())], ..with_cookies(&["locale"], &[]) };
    let found = key(&rules, target("http", "h", "/", None), &cookies(&["sid=1; locale=de"]));
    assert!(found.text().starts_with("v1:default:GET:http://h/ #cookies=locale=de #identity="), "{}", found.text());
    assert_eq!((found.to_key().url(), found.to_key().identity()), ("http://h/", rules.identity_of(&cookies(&["sid=1"]), None).as_deref()));
}

#[test]
fn only_cookies_that_are_neither_in_the_key_nor_ignored_are_private() {
    let rules = KeyRules {
        identity: vec![IdentityPart::Cookie("sid".into())],
        ..with_cookies(&["locale"], &["_ga*", "_gid", "mp_*_mixpanel", "sid", "locale"])
    };
    for public in ["_ga=1", "_ga_X1=2; _gid=3", "mp_0f_mixpanel=x; locale=de", "sid=1", "", ";", " ; "] {
        assert!(!rules.has_private_cookies(&cookies(&[public])), "{public}");
    }
    for private in ["session=1", "_ga=1; session=1", "_gid2=1", "mp_mixpanel=x", "_GA=1", "Locale=de", "alone", "=x", "_g"] {
        assert!(rules.has_private_cookies(&cookies(&[private])), "{private}");
    }
}

#[test]
fn ignored_cookies_are_taken_out_and_all_others_stay_as_they_were() {
    let rules = with_cookies(&["_gat"], &["_g*"]);
    for (lines, expected) in [
        (&["_ga=1"][..], None),
        (&["_ga=1; a=\"x y\";_gid=2; b"], Some("a=\"x y\"; b")),
        (&["_ga=1", "a=1"], Some("a=1")),
        (&["_gat=1; _ga=2"], Some("_gat=1")),
    ] {
        let mut headers = cookies(lines);
        assert!(rules.strip_ignored_cookies(&mut headers));
        let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(left, expected.into_iter().collect::<Vec<_>>(), "{lines:?}");
    }
    let mut untouched = cookies(&["a=1;b=2", "c=3"]);
    assert!(!rules.strip_ignored_cookies(&mut untouched));
    assert_eq!(untouched, cookies(&["a=1;b=2", "c=3"]));
}

#[test]
fn fields_of_the_key_are_readable_and_leave_the_url_as_it_is() {
    let rules = KeyRules { headers: vec![HeaderName::from_static("x-branch"), HeaderName::from_static("x-b")], ..rules() };
    let with = |lines: &[(&'static str, &'static str)]| {
        let headers = lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut map = HeaderMap::new();
        headers.for_each(|(name, value)| _ = map.append(name, value));
        key(&rules, target("http", "a", "/b", None), &map)
    };
    assert_eq!(with(&[("x-b", "2"), ("x-branch", "main")]).text(), "v1:default:GET:http://a/b #headers=x-branch=main;x-b=2");
    assert_eq!(with(&[("x-branch", "main")]).url(), "http://a/b");
    assert_eq!(with(&[]).text(), "v1:default:GET:http://a/b");
    let different: [&[(&'static str, &'static str)]; 6] = [
        &[("x-branch", "")],
        &[("x-branch", "1")],
        &[("x-branch", "1"), ("x-branch", "2")],
        &[("x-branch", "1;x-branch=2")],
        &[("x-branch", "1 #cookies=a=1")],
        &[("x-branch", "2"), ("x-branch", "1")],
    ];
    let mut keys: Vec<String> = different.iter().map(|lines| with(lines).text().to_owned()).collect();
    assert!(keys.iter().all(|key| !key.contains("#cookies") && key.matches(" #").count() == 1), "{keys:?}");
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), different.len());
    let mut both = HeaderMap::from_iter([(HeaderName::from_static("x-b"), HeaderValue::from_static("1"))]);
    both.insert(COOKIE, HeaderValue::from_static("c=1"));
    let rules = KeyRules { cookies: with_cookies(&["c"], &[]).cookies, identity: vec![IdentityPart::Cookie("c".into())], ..rules.clone() };
    let found = key(&rules, target("http", "a", "/b", None), &both);
    assert!(found.text().starts_with("v1:default:GET:http://a/b #headers=x-b=1 #cookies=c=1 #identity="), "{}", found.text());
}

#[test]
fn a_scheme_or_a_host_that_is_left_out_cannot_be_sent_by_a_client() {
    let hostless = KeyRules { host: false, ..rules() };
    for authority in ["example.com", "other:8080", "*", ""] {
        assert_eq!(hostless.url_of(target("http", authority, "/a", None)), "http://*/a", "{authority}");
    }
    assert_eq!(rules().url_of(target("http", "*", "/a", None)), "http:// 2a/a", "a client may send any name");
    let schemeless = KeyRules { scheme: false, ..rules() };
    for (scheme, authority) in [("http", "a:80"), ("https", "a:443"), ("https", "A")] {
        assert_eq!(schemeless.url_of(target(scheme, authority, "/a", None)), "*://a/a", "{scheme}");
    }
    assert_eq!(KeyRules { host: false, ..schemeless }.url_of(target("https", "a", "/a", Some("b=1"))), "*://*/a?b=1");
}

#[test]
fn a_path_in_lower_case_leaves_the_query_as_it_is() {
    let rules = KeyRules { path: PathCase::Lower, ..rules() };
    assert_eq!(rules.url_of(target("http", "a", "/Api/%C3%89/X", Some("B=C"))), "http://a/api/%c3%89/x?B=C");
    let uri = |text: &'static str| rules.path_as_in_key(&http::Uri::from_static(text)).map(|uri| uri.to_string());
    assert_eq!(uri("/Api/X?B=C").as_deref(), Some("/api/x?B=C"));
    assert_eq!(uri("http://Example.com/Api"), Some("http://Example.com/api".to_owned()));
    assert_eq!(uri("/api/x?B=C"), None, "nothing to change");
    assert_eq!(super::KeyRules::default().path_as_in_key(&http::Uri::from_static("/Api")), None);
}

#[test]
fn a_route_that_only_some_requests_take_has_keys_of_its_own() {
    let rules = KeyRules { route: Some("a #b".into()), ..rules() };
    let found = key(&rules, target("http", "a", "/b", None), &HeaderMap::new());
    assert_eq!((found.text(), found.url()), ("v1:default:GET:http://a/b #route=a 20 23b", "http://a/b"));
}
