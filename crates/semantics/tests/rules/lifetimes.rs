//! Lifetimes that a route gives, and what of the origin's directives it sets aside for them.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use larder_semantics::reuse::sliding::extended;
use larder_semantics::validation::upstream_fields;
use larder_semantics::{ClientTtl, CookiePolicy, Decision, Policy, Reason, StatusTtls, Statuses, TtlMode, UnsafeIgnore, entity_tag};

use crate::support::{Cache, Fields, HOUR_BEFORE, T0, T0_DATE, after, fields, map, serve, text, validate};

const CC: &str = "cache-control";

/// What Spring Security writes, and so do others.
const SPRING: Fields<'_> = &[(CC, "no-cache, no-store, max-age=0, must-revalidate"), ("pragma", "no-cache"), ("expires", "0")];

fn route(ttl_mode: TtlMode) -> Policy {
    Policy::default().with(|policy| (policy.ttl, policy.ttl_mode) = (60, ttl_mode))
}

fn ignoring(policy: Policy, change: impl FnOnce(&mut UnsafeIgnore)) -> Cache {
    Cache::with(policy.with(|policy| change(&mut policy.unsafe_ignore)))
}

#[test]
fn an_override_stands_in_for_all_that_ends_a_lifetime() {
    let cache = Cache::with(route(TtlMode::Override).with(|policy| policy.stale_while_revalidate = 10));
    for response in [
        &[(CC, "no-cache")][..],
        &[(CC, "no-cache, must-revalidate, max-age=0")],
        &[(CC, "max-age=0, s-maxage=0, proxy-revalidate")],
        &[("expires", "0")],
        &[("pragma", "no-cache")],
    ] {
        let stored = cache.store(response);
        assert_eq!(cache.get(59, &[], &stored), serve(59, Reason::Fresh), "{response:?}");
        let stale = Decision::ServeStale { age: 60, reason: Reason::StaleWhileRevalidate };
        assert_eq!(cache.get(60, &[], &stored), stale, "{response:?}");
        assert_eq!(text(&fields(&stored), CC).as_deref(), Some("max-age=60"), "clients are told what counts: {response:?}");
        assert_eq!([text(&fields(&stored), "pragma"), text(&fields(&stored), "expires")], [None, None], "{response:?}");
    }
}

#[test]
fn an_override_leaves_what_forbids_storing_to_unsafe_ignore() {
    let cache = Cache::with(route(TtlMode::Override));
    assert_eq!(cache.refuse(&[], 200, SPRING).0, Reason::NoStore);
    assert_eq!(cache.refuse(&[], 200, &[(CC, "private, no-cache")]).0, Reason::Private);
    assert_eq!(cache.refuse(&[], 200, &[(CC, "no-cache"), ("set-cookie", "a=b")]).0, Reason::SetCookie);
    let full = ignoring(route(TtlMode::Override), |ignore| ignore.no_store = true);
    let stored = full.store(SPRING);
    assert_eq!(full.get(59, &[], &stored), serve(59, Reason::Fresh));
    assert_eq!(text(&fields(&stored), CC).as_deref(), Some("max-age=60"));
    // Without the override nothing of it is fresh.
    let ignored = ignoring(route(TtlMode::Default), |ignore| ignore.no_store = true);
    assert_eq!(ignored.refuse(&[], 200, SPRING).0, Reason::ResponseNoCache);
}

#[test]
fn an_override_is_for_the_statuses_that_have_a_lifetime() {
    let cache = Cache::with(route(TtlMode::Override));
    assert_eq!(cache.refuse(&[], 503, &[(CC, "no-cache, max-age=5")]).0, Reason::ResponseNoCache);
    let ttls = StatusTtls::default().with(Statuses::Class(5), 1);
    let negative = Cache::with(route(TtlMode::Override).with(|policy| policy.status_ttls = ttls));
    let stored = negative.store_with(&[], 503, &[(CC, "no-cache")]).0;
    assert_eq!((negative.get(0, &[], &stored), negative.get(1, &[], &stored)), (serve(0, Reason::Fresh), validate(Reason::Stale)));
}

/// `must-revalidate` permits to share in spite of credentials (RFC 9111 §3.5). Beside directives that are set aside it was written to forbid.
#[test]
fn a_directive_that_is_set_aside_permits_nothing() {
    let full = ignoring(route(TtlMode::Override), |ignore| ignore.no_store = true);
    let ignoring_both = ignoring(route(TtlMode::Default), |ignore| (ignore.no_store, ignore.no_cache) = (true, true));
    for cache in [&full, &ignoring_both] {
        let response: Fields<'_> = &[(CC, "no-cache, no-store, must-revalidate")];
        assert_eq!(cache.refuse(&[("cookie", "session=1")], 200, response).0, Reason::Cookie);
        assert_eq!(cache.refuse(&[("authorization", "x")], 200, response).0, Reason::Authorization);
        let anonymous = cache.store(response);
        assert_eq!(cache.get(1, &[("cookie", "session=1")], &anonymous), Decision::Forward { reason: Reason::Cookie });
        assert_eq!(cache.get(1, &[("authorization", "x")], &anonymous), Decision::Forward { reason: Reason::Authorization });
    }
}

#[test]
fn no_cache_is_ignored_where_a_route_says_so() {
    let cache = ignoring(Policy::default(), |ignore| ignore.no_cache = true);
    let stored = cache.store(&[(CC, "no-cache, max-age=60")]);
    assert_eq!(cache.get(59, &[], &stored), serve(59, Reason::Fresh));
    assert_eq!(text(&fields(&stored), CC).as_deref(), Some("no-cache, max-age=60"), "the origin's lifetime counts, and stays as it is");
    let listed = cache.store(&[(CC, "no-cache=\"x-user\", max-age=60"), ("x-user", "7")]);
    assert_eq!(text(&fields(&listed), "x-user"), None, "a field that it names is not stored all the same");
}

#[test]
fn rfc9111_5_4_pragma_in_a_response_keeps_a_route_from_guessing() {
    let pragma: Fields<'_> = &[("pragma", "no-cache"), ("etag", "\"1\"")];
    let guessed: Fields<'_> = &[("pragma", "no-cache"), ("date", T0_DATE), ("last-modified", HOUR_BEFORE)];
    for (cache, response) in [(Cache::with(route(TtlMode::Default)), pragma), (Cache::default(), guessed)] {
        assert_eq!(cache.get(0, &[], &cache.store(response)), validate(Reason::ResponseNoCache));
        let ignored = ignoring(cache.policy.clone(), |ignore| ignore.pragma = true);
        assert_eq!(ignored.get(0, &[], &ignored.store(response)), serve(0, Reason::Fresh));
    }
    // The origin's own word on caching goes before it.
    for named in [(CC, "max-age=60"), (CC, "public"), ("expires", "Sun, 06 Nov 1994 08:50:37 GMT")] {
        let cache = Cache::with(route(TtlMode::Default));
        let stored = cache.store(&[named, ("pragma", "no-cache"), ("date", T0_DATE)]);
        assert_eq!(cache.get(0, &[], &stored), serve(0, Reason::Fresh), "{named:?}");
    }
}

#[test]
fn a_field_that_vary_is_not_to_name_selects_nothing() {
    let user_agent = HeaderName::from_static("user-agent");
    let cache = Cache::with(route(TtlMode::Default).with(|policy| policy.ignore_vary = vec![user_agent]));
    let stored = |vary| cache.store_with(&[], 200, &[("vary", vary)]);
    assert_eq!(stored("User-Agent").1, None);
    let (head, vary) = stored("Accept-Language, User-Agent");
    assert_eq!(vary.unwrap().names(), ["accept-language"]);
    assert_eq!(text(&fields(&head), "vary").as_deref(), Some("Accept-Language, User-Agent"), "clients and caches behind still see it");
    assert_eq!(cache.refuse(&[], 200, &[("vary", "User-Agent, *")]).0, Reason::VaryStar);
}

#[test]
fn what_cookies_select_is_one_clients_where_vary_is_ignored() {
    let cookie = HeaderName::from_static("cookie");
    let cache = Cache::with(route(TtlMode::Default).with(|policy| policy.ignore_vary = vec![cookie]));
    assert_eq!(cache.refuse(&[("cookie", "session=1")], 200, &[("vary", "Cookie")]).0, Reason::Cookie);
    let ignored = Cache::with(cache.policy.clone().with(|policy| policy.cookies = CookiePolicy::Ignore));
    assert_eq!(ignored.store_with(&[("cookie", "session=1")], 200, &[("vary", "Cookie")]).1, None);
}

#[test]
fn clients_see_the_origins_fields_where_a_route_says_so() {
    let cache = Cache::with(route(TtlMode::Override).with(|policy| policy.client_ttl = ClientTtl::Origin));
    let stored = cache.store(&[(CC, "no-cache"), ("expires", "0"), ("pragma", "no-cache")]);
    assert_eq!(cache.get(59, &[], &stored), serve(59, Reason::Fresh));
    let shown = [CC, "expires", "pragma"].map(|name| text(&fields(&stored), name));
    assert_eq!(shown, ["no-cache", "0", "no-cache"].map(|value| Some(value.to_owned())));
}

#[test]
fn a_use_begins_a_sliding_lifetime_anew_up_to_its_limit() {
    let policy = route(TtlMode::Sliding).with(|policy| policy.sliding_max = 150);
    let cache = Cache::with(policy.clone());
    let stored = cache.store(&[]);
    assert!(extended(&policy, &stored, after(5)).is_none(), "less than a tenth is not worth a new head");
    let once = extended(&policy, &stored, after(50)).expect("it lasts longer");
    assert_eq!(text(&fields(&once), CC).as_deref(), Some("max-age=110"));
    assert_eq!(cache.get(109, &[], &once), serve(109, Reason::Fresh));
    assert_eq!(cache.get(110, &[], &once), validate(Reason::Stale));
    let twice = extended(&policy, &once, after(109)).expect("and longer again");
    assert_eq!({ twice.lifetime.seconds }, 150);
    assert!(extended(&policy, &twice, after(149)).is_none(), "the limit");
    assert!(extended(&policy, &twice, after(150)).is_none(), "what is stale is over");
}

#[test]
fn a_use_extends_no_lifetime_that_the_origin_names() {
    let policy = route(TtlMode::Sliding);
    let cache = Cache::with(policy.clone());
    let named = cache.store(&[(CC, "max-age=60")]);
    assert!(extended(&policy, &named, after(50)).is_none());
    let own = cache.store(&[]);
    assert!(extended(&route(TtlMode::Default), &own, after(50)).is_none());
    let limited = policy.with(|policy| policy.max_ttl = Some(70));
    assert_eq!({ extended(&limited, &own, after(50)).expect("to the longest").lifetime.seconds }, 70);
}

#[test]
fn rfc9111_4_3_1_a_tag_of_a_body_is_for_clients_and_not_for_the_origin() {
    let cache = Cache::with(route(TtlMode::Default));
    let tag = entity_tag::of_body([&b"hello"[..]].into_iter());
    let stored = cache.store(&[("date", T0_DATE), ("last-modified", HOUR_BEFORE)]).with_etag(tag.clone());
    assert_eq!((stored.etag(), stored.origin_etag(), stored.has_etag()), (Some(tag), None, true));
    let mut asked = map(&[]);
    upstream_fields(&cache.request(&Method::GET, &[]), &mut asked, &[&stored]);
    assert_eq!([text(&asked, "if-none-match"), text(&asked, "if-modified-since")], [None, Some(HOUR_BEFORE.to_owned())]);
    assert!(stored.has_validator(), "its date is the origin's");
    let undated = cache.store(&[]).with_etag(entity_tag::of_body([&b"hello"[..]].into_iter()));
    assert!(!undated.has_validator());
}

#[test]
fn rfc9111_4_3_4_a_304_by_date_leaves_the_tag_of_the_body() {
    let cache = Cache::with(route(TtlMode::Default));
    let tag = entity_tag::of_body([&b"hello"[..]].into_iter());
    let stored = cache.store(&[("date", T0_DATE), ("last-modified", HOUR_BEFORE)]).with_etag(tag.clone());
    let found = cache.receive_at(after(61), &Method::GET, &[], 304, &[("last-modified", HOUR_BEFORE)], &[&stored]);
    let larder_semantics::Disposition::Freshen { answer, .. } = found else { panic!("{found:?}") };
    assert_eq!(answer.head.etag(), Some(tag));
    let mut own = HeaderMap::from_iter([(HeaderName::from_static("x-own"), HeaderValue::from_static("1"))]);
    answer.head.show_own(&mut own);
    assert_eq!(own.get("etag"), answer.head.etag().as_ref(), "the client whose fetch it was sees it too");
    assert_eq!((answer.head.status, answer.head.date() >= T0), (StatusCode::OK, true));
}
