//! Storing responses (RFC 9111 §3), and what of them is stored (§3.1).

use http::Method;
use larder_semantics::{Disposition, LifetimeSource, Policy, Reason, TtlMode};

use crate::support::{Cache, Fields, HOUR_BEFORE, T0, T0_DATE, after, map, serve, text};

const CC: &str = "cache-control";

#[test]
fn rfc9111_3_explicit_lifetimes_make_any_final_status_storable() {
    let cache = Cache::default();
    for status in [200, 203, 302, 307, 400, 403, 404, 410, 500, 503, 599] {
        assert_eq!({ cache.store_with(&[], status, &[(CC, "max-age=60")]).0.lifetime.seconds }, 60, "{status}");
    }
}

#[test]
fn rfc9111_3_without_a_lifetime_only_heuristic_statuses_are() {
    let cache = Cache::default();
    let modified = ("last-modified", HOUR_BEFORE);
    let dated = ("date", T0_DATE);
    assert_eq!(cache.store_with(&[], 200, &[dated, modified]).0.lifetime.source, LifetimeSource::Heuristic);
    assert_eq!(cache.refuse(&[], 302, &[dated, modified]), (Reason::Status, true));
    assert_eq!(cache.refuse(&[], 500, &[dated, modified]), (Reason::Status, false));
    assert_eq!(cache.refuse(&[], 200, &[]), (Reason::NoLifetime, true));
    assert_eq!(cache.store_with(&[], 200, &[("etag", "\"1\"")]).0.lifetime.source, LifetimeSource::None);
}

#[test]
fn a_response_that_can_never_be_reused_is_not_stored() {
    let cache = Cache::default();
    assert_eq!(cache.refuse(&[], 200, &[(CC, "max-age=0")]).0, Reason::LifetimeZero);
    assert_eq!(cache.refuse(&[], 200, &[(CC, "max-age=60"), ("age", "60")]).0, Reason::LifetimeZero);
    assert_eq!(cache.refuse(&[], 200, &[(CC, "no-cache, max-age=60")]).0, Reason::ResponseNoCache);
    assert_eq!(cache.store(&[(CC, "max-age=60, stale-if-error=60"), ("age", "60")]).initial_age, 60);
}

#[test]
fn errors_and_refusals_of_the_request_are_not_remembered_against_the_key() {
    let cache = Cache::default();
    assert_eq!(cache.refuse(&[(CC, "no-store")], 200, &[(CC, "max-age=60")]), (Reason::RequestNoStore, false));
    assert_eq!(cache.refuse(&[], 503, &[(CC, "no-store")]), (Reason::NoStore, false));
    assert_eq!(cache.refuse(&[], 200, &[(CC, "no-store")]), (Reason::NoStore, true));
    assert_eq!(cache.refuse(&[], 206, &[(CC, "max-age=60"), ("content-range", "bytes 0-1/2")]), (Reason::PartialContent, false));
}

#[test]
fn rfc9111_4_3_5_an_answer_to_head_is_never_stored_for_get() {
    let found = Cache::default().receive(&Method::HEAD, &[], 200, &[(CC, "max-age=60")]);
    assert!(matches!(found, Disposition::Pass { reason: Reason::Head, remember: false }));
}

#[test]
fn rfc9111_3_1_fields_that_are_not_stored() {
    let stored = Cache::default().store(&[
        (CC, "public, max-age=60, no-cache=\"x-volatile\", private=\"x-user\""),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("trailer", "x-sum"),
        ("upgrade", "h2c"),
        ("proxy-authenticate", "Basic"),
        ("proxy-authentication-info", "x"),
        ("set-cookie", "a=b"),
        ("x-volatile", "1"),
        ("x-user", "ann"),
        ("x-kept", "1"),
        ("x-kept", "2"),
    ]);
    let kept = stored.headers.to_map();
    let mut names: Vec<_> = kept.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["age", "cache-control", "cache-status", "date", "x-cache", "x-kept"]);
    assert_eq!(stored.headers.to_map().get_all("x-kept").iter().count(), 2);
}

#[test]
fn rfc9110_6_6_1_a_missing_or_broken_date_is_when_it_arrived() {
    for date in [&[][..], &[("date", "yesterday")]] {
        let stored = Cache::default().store(&[&[(CC, "max-age=60")], date].concat());
        assert_eq!(text(&stored.headers.to_map(), "date").as_deref(), Some(T0_DATE));
        assert_eq!(stored.date(), T0);
    }
}

#[test]
fn a_routes_lifetime_is_what_the_client_sees() {
    let cache = Cache::with(Policy::default().with(|policy| {
        policy.ttl = 4;
        policy.ttl_mode = TtlMode::Cap;
    }));
    let stored = cache.store(&[(CC, "max-age=5, s-maxage=9, must-revalidate, ext=\"a b\""), ("expires", "0")]);
    assert_eq!(stored.lifetime.source, LifetimeSource::Route);
    assert_eq!(text(&stored.headers.to_map(), CC).as_deref(), Some("proxy-revalidate, must-revalidate, ext=\"a b\", max-age=4"));
    assert_eq!(stored.headers.to_map().get("expires"), None);
    let mut live = map(&[(CC, "max-age=5"), ("expires", "0"), ("set-cookie", "a=b")]);
    stored.show_own(&mut live);
    assert_eq!(live.get(CC), stored.headers.to_map().get(CC));
    assert!(!live.contains_key("expires") && live.contains_key("set-cookie"));
}

#[test]
fn a_routes_lifetime_for_an_identity_is_private() {
    let policy = Policy::default().with(|policy| policy.ttl = 60);
    let cache = Cache { policy, identified: true };
    assert_eq!(text(&cache.store(&[]).headers.to_map(), CC).as_deref(), Some("private, max-age=60"));
    assert_eq!(text(&cache.store(&[(CC, "public")]).headers.to_map(), CC).as_deref(), Some("private, max-age=60"));
}

#[test]
fn an_origins_lifetime_is_shown_as_it_is() {
    let stored = Cache::with(Policy::default().with(|policy| policy.ttl = 60)).store(&[(CC, "max-age=5"), ("expires", "0")]);
    assert_eq!(text(&stored.headers.to_map(), CC).as_deref(), Some("max-age=5"));
    assert_eq!(text(&stored.headers.to_map(), "expires").as_deref(), Some("0"));
    let mut live = map(&[(CC, "max-age=5")]);
    stored.show_own(&mut live);
    assert_eq!(text(&live, CC).as_deref(), Some("max-age=5"));
}

#[test]
fn rfc9213_2_2_cache_control_beside_a_targeted_field_stays_the_clients() {
    let cache = Cache::with(Policy::default().with(|policy| {
        policy.ttl = 60;
        policy.ttl_mode = TtlMode::Cap;
    }));
    let stored = cache.store(&[("cdn-cache-control", "max-age=600"), (CC, "no-store")]);
    assert_eq!((stored.lifetime.seconds, stored.lifetime.source), (60, LifetimeSource::Route));
    assert_eq!(text(&stored.headers.to_map(), CC).as_deref(), Some("no-store"));
}

#[test]
fn rfc9211_2_cache_status_of_upstream_caches_is_kept_in_one_line() {
    let stored = Cache::default().store(&[(CC, "max-age=60"), ("cache-status", "a; hit"), ("cache-status", "b; fwd=miss")]);
    assert_eq!(text(&stored.headers.to_map(), "cache-status").as_deref(), Some("a; hit, b; fwd=miss"));
    assert_eq!(text(&Cache::default().store(&[(CC, "max-age=60")]).headers.to_map(), "cache-status").as_deref(), Some(""));
}

#[test]
fn the_fields_that_every_answer_writes_have_slots() {
    let stored = Cache::default().store(&[(CC, "max-age=60"), ("age", "5"), ("x-cache", "HIT")]);
    let map = stored.headers.to_map();
    for name in ["age", "cache-status", "x-cache"] {
        assert_eq!(map[name], "", "{name}");
    }
}

#[test]
fn rfc9111_4_1_the_selecting_fields_come_with_what_is_stored() {
    let cache = Cache::default();
    let (_, vary) = cache.store_with(&[], 200, &[(CC, "max-age=60"), ("vary", "Accept"), ("vary", "accept-language")]);
    assert_eq!(vary.unwrap().names(), ["accept", "accept-language"]);
    assert_eq!(cache.store_with(&[], 200, &[(CC, "max-age=60")]).1, None);
    assert_eq!(cache.refuse(&[], 200, &[(CC, "max-age=60"), ("vary", "no name")]), (Reason::VaryStar, true));
}

#[test]
fn rfc9111_3_5_a_stored_answer_to_an_authorized_request_serves_everyone_it_is_for() {
    let cache = Cache::default();
    let (stored, _) = cache.store_with(&[("authorization", "Basic x")], 200, &[(CC, "public, max-age=60")]);
    assert_eq!(cache.get(1, &[], &stored), serve(1, Reason::Fresh));
    assert_eq!(stored.ttl(after(1)), 59);
}

#[test]
fn rfc9110_8_6_one_content_length_and_none_with_a_204() {
    let cache = Cache::with(Policy::default().with(|policy| policy.ttl = 60));
    let lengths = |status, fields: Fields<'_>| {
        let stored = cache.store_with(&[], status, fields).0.headers.to_map();
        stored.get_all("content-length").iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(lengths(200, &[("content-length", "5"), ("etag", "\"1\""), ("content-length", "5")]), ["5"]);
    assert_eq!(lengths(204, &[("content-length", "0")]), [""; 0]);
}

#[test]
fn fields_for_one_client_are_not_stored() {
    let own =
        [("set-cookie", "a=b"), ("set-cookie2", "a=b"), ("authentication-info", "nextnonce=\"1\""), ("clear-site-data", "\"cookies\"")];
    let stored = Cache::default().store(&[&own[..], &[(CC, "public, max-age=60")]].concat()).headers.to_map();
    for (name, _) in own {
        assert!(!stored.contains_key(name), "{name}");
    }
    assert_eq!(Cache::default().refuse(&[], 200, &[(CC, "max-age=60"), own[1]]), (Reason::SetCookie, true));
}

#[test]
fn a_directive_that_breaks_the_grammar_still_forbids() {
    let cache = Cache::with(Policy::default().with(|policy| policy.ttl = 60));
    for line in ["private; max-age=600", "private;", "private no-transform"] {
        assert_eq!(cache.refuse(&[], 200, &[(CC, line)]), (Reason::Private, true), "{line}");
    }
    for line in ["no-store;", "no-store\tmax-age=60"] {
        assert_eq!(cache.refuse(&[], 200, &[(CC, line)]), (Reason::NoStore, true), "{line}");
    }
}

#[test]
fn an_answer_that_an_unkeyed_field_may_have_caused_says_nothing_of_its_key_whatever_else_forbids_storing() {
    let cache = Cache::with(Policy::default().with(|policy| policy.ttl = 60));
    for response in [(CC, "no-store"), (CC, "private"), ("set-cookie", "a=b"), ("vary", "*")] {
        assert_eq!(cache.refuse(&[("x-original-url", "/other")], 200, &[response]), (Reason::UnkeyedField, false), "{response:?}");
    }
    assert_eq!(cache.refuse(&[("x_a", "1")], 404, &[(CC, "no-store")]), (Reason::UnkeyedField, false));
}
