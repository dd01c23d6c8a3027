//! Which client it is.

use super::*;

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
    for (identity, overlooked) in
        [(vec![], false), (vec![token.clone()], true), (vec![sid.clone()], false), (vec![token.clone(), sid], false), (vec![field], false)]
    {
        let rules = KeyRules { identity, ..rules() };
        assert_eq!(rules.overlooks_cookies(), overlooked, "{:?}", rules.identity);
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

/// A configuration may change, and two replicas may have two: what was stored for a value of one kind is not for the same value of another.
#[test]
fn a_value_of_one_part_of_an_identity_is_none_of_another() {
    let header = |name| IdentityPart::Header(HeaderName::from_static(name));
    let identity = |part, (name, value), query| {
        let rules = KeyRules { identity: vec![part], ..rules() };
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
        rules.identity_of(&headers, query).expect("an identity")
    };
    let identities = [
        identity(header("x-user"), ("x-user", "17"), None),
        identity(header("x-api-key"), ("x-api-key", "17"), None),
        identity(IdentityPart::Cookie("x-user".into()), ("cookie", "x-user=17"), None),
        identity(IdentityPart::Query("x-user".into()), ("accept", "*/*"), Some("x-user=17")),
    ];
    assert_eq!(identities.iter().collect::<std::collections::HashSet<_>>().len(), identities.len(), "{identities:?}");
    // Every replica has to say the same of the same client.
    assert_eq!(identities[0], "502a4efc77562fd4fd0090da7e5d1f3db139cccd");
}
