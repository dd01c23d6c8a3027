//! Freshening stored responses (RFC 9111 §3.2, §4.3.4), also by HEAD (§4.3.5).

use http::Method;
use larder_semantics::{Disposition, Freshened, HeadUpdate, LifetimeSource, Policy, Reason, StoredHead, head_update};

use crate::support::{Cache, Fields, HOUR_BEFORE, T0_DATE, after, map, serve, text, validate};

const CC: &str = "cache-control";

fn not_modified(cache: &Cache, response: Fields<'_>, candidates: &[&StoredHead]) -> Disposition {
    cache.receive_at(after(100), &Method::GET, &[], 304, response, candidates)
}

fn freshened(cache: &Cache, response: Fields<'_>, stored: &StoredHead) -> (StoredHead, bool) {
    match not_modified(cache, response, &[stored]) {
        Disposition::Freshen { answer: Freshened { index: 0, head, keep, .. }, .. } => (*head, keep),
        other => panic!("not freshened: {other:?}"),
    }
}

fn selected(cache: &Cache, response: Fields<'_>, candidates: &[&StoredHead]) -> Option<usize> {
    match not_modified(cache, response, candidates) {
        Disposition::Freshen { answer, .. } => Some(answer.index),
        Disposition::Refetch { reason: Reason::ValidatorMismatch } => None,
        other => panic!("neither: {other:?}"),
    }
}

#[test]
fn rfc9111_3_2_fields_of_a_304_replace_those_stored() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60"), ("etag", "\"1\""), ("x-a", "1"), ("x-a", "2"), ("x-b", "3")]);
    let (head, keep) = freshened(&cache, &[(CC, "max-age=10"), ("etag", "\"1\""), ("x-a", "new"), ("x-c", "added")], &stored);
    assert!(keep);
    assert_eq!(head.headers.to_map().get_all("x-a").iter().collect::<Vec<_>>(), ["new"]);
    assert_eq!(text(&head.headers.to_map(), "x-b").as_deref(), Some("3"));
    assert_eq!(text(&head.headers.to_map(), "x-c").as_deref(), Some("added"));
    assert_eq!({ head.lifetime.seconds }, 10);
    assert_eq!(cache.get(105, &[], &head), serve(5, Reason::Fresh));
    assert_eq!(head.status, 200);
}

#[test]
fn rfc9111_3_2_fields_that_a_304_never_touches() {
    let cache = Cache::default();
    let stored = cache.store(&[
        (CC, "max-age=60"),
        ("etag", "\"1\""),
        ("content-length", "5"),
        ("content-encoding", "gzip"),
        ("content-md5", "b2xk"),
    ]);
    let update = [
        ("content-length", "0"),
        ("content-encoding", "identity"),
        ("content-md5", "bmV3"),
        ("content-range", "bytes 0-1/2"),
        ("transfer-encoding", "chunked"),
        ("set-cookie", "a=b"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("proxy-authenticate", "Basic"),
    ];
    let (head, _) = freshened(&cache, &update, &stored);
    assert_eq!(text(&head.headers.to_map(), "content-length").as_deref(), Some("5"));
    assert_eq!(text(&head.headers.to_map(), "content-encoding").as_deref(), Some("gzip"));
    assert_eq!(text(&head.headers.to_map(), "content-md5").as_deref(), Some("b2xk"));
    for name in ["content-range", "transfer-encoding", "set-cookie", "connection", "x-hop", "proxy-authenticate"] {
        assert_eq!(head.headers.to_map().get(name), None, "{name}");
    }
}

#[test]
fn rfc9111_4_3_4_a_304_makes_it_as_new_as_the_304() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60"), ("etag", "\"1\""), ("date", T0_DATE), ("age", "30")]);
    let (head, _) = freshened(&cache, &[("etag", "\"1\"")], &stored);
    assert_eq!(head.age(after(100)), 0);
    assert_eq!(head.date(), after(100));
    let (head, _) = freshened(&cache, &[("etag", "\"1\""), ("age", "7")], &stored);
    assert_eq!(head.age(after(100)), 7);
}

#[test]
fn rfc9111_4_3_4_a_strong_validator_selects() {
    let cache = Cache::default();
    let one = cache.store(&[("etag", "\"1\"")]);
    let two = cache.store(&[("etag", "\"2\"")]);
    assert_eq!(selected(&cache, &[("etag", "\"2\"")], &[&one, &two]), Some(1));
    assert_eq!(selected(&cache, &[("etag", "\"3\"")], &[&one, &two]), None);
    let weak = cache.store(&[("etag", "W/\"1\"")]);
    assert_eq!(selected(&cache, &[("etag", "\"1\"")], &[&weak]), None);
}

#[test]
fn rfc9111_4_3_4_a_weak_validator_selects_the_most_recent() {
    let cache = Cache::default();
    let old = cache.store(&[("etag", "W/\"1\""), ("date", HOUR_BEFORE)]);
    let new = cache.store(&[("etag", "\"1\""), ("date", T0_DATE)]);
    let other = cache.store(&[("etag", "\"2\"")]);
    assert_eq!(selected(&cache, &[("etag", "W/\"1\"")], &[&old, &other, &new]), Some(2));
    assert_eq!(selected(&cache, &[("etag", "W/\"9\"")], &[&old, &other, &new]), None);
}

#[test]
fn rfc9111_4_3_4_last_modified_selects_where_there_is_no_tag() {
    let cache = Cache::default();
    let one = cache.store(&[("last-modified", HOUR_BEFORE)]);
    let two = cache.store(&[("last-modified", T0_DATE)]);
    assert_eq!(selected(&cache, &[("last-modified", T0_DATE)], &[&one, &two]), Some(1));
    assert_eq!(selected(&cache, &[("last-modified", "Sat, 05 Nov 1994 08:49:37 GMT")], &[&one, &two]), None);
}

#[test]
fn rfc9111_4_3_4_without_validators_only_one_nominated_response_can_be_meant() {
    let cache = Cache::default();
    let one = cache.store(&[("etag", "\"1\"")]);
    let two = cache.store(&[("etag", "\"2\"")]);
    let bare = cache.store(&[(CC, "max-age=60")]);
    assert_eq!(selected(&cache, &[], &[&one]), Some(0));
    assert_eq!(selected(&cache, &[], &[&bare, &one]), Some(1));
    assert_eq!(selected(&cache, &[], &[&one, &two]), None);
}

#[test]
fn a_304_to_the_clients_own_condition_reaches_the_client() {
    let cache = Cache::default();
    let bare = cache.store(&[(CC, "max-age=60")]);
    for candidates in [&[][..], &[&bare]] {
        let found = not_modified(&cache, &[("etag", "\"1\"")], candidates);
        assert!(matches!(found, Disposition::Pass { reason: Reason::NotModified, remember: false }));
    }
}

#[test]
fn a_304_that_forbids_storing_is_used_once() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60"), ("etag", "\"1\"")]);
    for forbids in ["no-store", "private"] {
        assert!(!freshened(&cache, &[("etag", "\"1\""), (CC, forbids)], &stored).1, "{forbids}");
    }
}

#[test]
fn a_routes_lifetime_does_not_hide_the_origins_from_the_next_calculation() {
    let cache = Cache::with(Policy::default().with(|policy| {
        policy.ttl = 30;
        policy.ttl_mode = larder_semantics::TtlMode::Cap;
    }));
    let stored = cache.store(&[(CC, "max-age=60, must-revalidate"), ("etag", "\"1\"")]);
    assert_eq!(stored.lifetime.source, LifetimeSource::Route);
    let (head, _) = freshened(&cache, &[("etag", "\"1\"")], &stored);
    assert_eq!((head.lifetime.seconds, head.lifetime.source), (30, LifetimeSource::Route));
    assert!(head.must_revalidate());
    assert_eq!(head.origin_control, stored.origin_control);
    let (head, _) = freshened(&cache, &[("etag", "\"1\""), (CC, "max-age=5")], &stored);
    assert_eq!((head.lifetime.seconds, head.lifetime.source), (5, LifetimeSource::MaxAge));
    assert_eq!(text(&head.headers.to_map(), CC).as_deref(), Some("max-age=5"));
}

#[test]
fn rfc9111_4_3_3_a_failed_validation_falls_back_only_where_allowed() {
    let cache = Cache::default();
    let allowed = cache.store(&[(CC, "max-age=60, stale-if-error=60"), ("etag", "\"1\"")]);
    let forbidden = cache.store(&[(CC, "max-age=60"), ("etag", "\"1\"")]);
    for status in [500, 502, 503, 504] {
        let found = cache.receive_at(after(100), &Method::GET, &[], status, &[], &[&allowed]);
        assert!(matches!(found, Disposition::ServeStale { age: 100, reason: Reason::StaleIfError }), "{status} {found:?}");
        let found = cache.receive_at(after(100), &Method::GET, &[], status, &[], &[&forbidden]);
        assert!(matches!(found, Disposition::Pass { reason: Reason::Status, remember: false }), "{status} {found:?}");
    }
    for status in [404, 501, 505] {
        let found = cache.receive_at(after(100), &Method::GET, &[], status, &[(CC, "max-age=1")], &[&allowed]);
        assert!(matches!(found, Disposition::Store { .. }), "{status} {found:?}");
    }
}

fn head(cache: &Cache, status: u16, response: Fields<'_>, stored: &StoredHead, length: u64) -> HeadUpdate {
    let (none, headers) = (map(&[]), map(response));
    let request = cache.request(&Method::HEAD, &[]);
    head_update(&cache.exchange(after(100), &Method::HEAD, &request, &none, status, &headers), stored, length)
}

#[test]
fn rfc9111_4_3_5_head_freshens_a_stored_get_that_it_matches() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60"), ("etag", "\"1\""), ("last-modified", HOUR_BEFORE)]);
    for response in [&[("etag", "\"1\""), ("content-length", "5")][..], &[("last-modified", HOUR_BEFORE)]] {
        let HeadUpdate::Freshen { head, keep: true } = head(&cache, 200, response, &stored, 5) else { panic!("{response:?}") };
        assert_eq!(cache.get(100, &[], &head), serve(0, Reason::Fresh));
        assert_eq!(text(&head.headers.to_map(), "etag").as_deref(), Some("\"1\""));
    }
}

#[test]
fn rfc9111_4_3_5_head_makes_a_stored_get_stale_that_it_contradicts() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=600, stale-while-revalidate=600"), ("etag", "\"1\"")]);
    for response in [("etag", "\"2\""), ("content-length", "6"), ("content-length", "x"), ("last-modified", HOUR_BEFORE)] {
        let HeadUpdate::Stale(head) = head(&cache, 200, &[response], &stored, 5) else { panic!("{response:?}") };
        assert_eq!(cache.get(100, &[], &head), validate(Reason::MustRevalidate));
    }
}

/// Dynamic pages have no validators, and often no length: a HEAD says nothing about the text that there is now.
#[test]
fn an_answer_to_head_without_a_validator_freshens_nothing() {
    let cache = Cache::default();
    for validator in [("x-none", "1"), ("etag", "\"1\""), ("last-modified", HOUR_BEFORE)] {
        let stored = cache.store(&[(CC, "max-age=60"), validator]);
        for response in [&[][..], &[("x-new", "1")], &[("content-length", "5")], &[(CC, "max-age=600")]] {
            assert!(matches!(head(&cache, 200, response, &stored, 5), HeadUpdate::Unrelated), "{validator:?} {response:?}");
        }
        let forbids = head(&cache, 200, &[(CC, "no-store")], &stored, 5);
        assert!(matches!(forbids, HeadUpdate::Freshen { keep: false, .. }), "{validator:?} {forbids:?}");
    }
}

#[test]
fn rfc9111_4_3_5_only_a_200_to_head_says_anything() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60"), ("etag", "\"1\"")]);
    for status in [204, 304, 404, 500] {
        assert!(matches!(head(&cache, status, &[("etag", "\"2\"")], &stored, 5), HeadUpdate::Unrelated), "{status}");
    }
}

#[test]
fn rfc9111_4_3_4_every_stored_response_with_the_same_strong_tag_is_updated() {
    let cache = Cache::default();
    let stored = |tag| cache.store(&[(CC, "max-age=60"), ("etag", tag)]);
    let (one, two, three, weak) = (stored("\"1\""), stored("\"2\""), stored("\"1\""), stored("W/\"1\""));
    let found = not_modified(&cache, &[(CC, "max-age=10"), ("etag", "\"1\"")], &[&one, &two, &three, &weak]);
    let Disposition::Freshen { answer, others } = found else { panic!("{found:?}") };
    assert_eq!(answer.index, 0);
    assert_eq!(others.iter().map(|other| (other.index, other.head.lifetime.seconds)).collect::<Vec<_>>(), [(2, 10)]);
}

#[test]
fn rfc9111_4_3_4_a_304_may_change_what_selects() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60"), ("etag", "\"1\"")]);
    let vary = |fields: Fields<'_>| match not_modified(&cache, fields, &[&stored]) {
        Disposition::Freshen { answer, .. } => (answer.vary.map(|vary| vary.names().to_vec()), answer.keep),
        other => panic!("{other:?}"),
    };
    assert_eq!(vary(&[("etag", "\"1\"")]), (None, true));
    assert_eq!(vary(&[("etag", "\"1\""), ("vary", "x-a")]), (Some(vec!["x-a".parse().unwrap()]), true));
    assert_eq!(vary(&[("etag", "\"1\""), ("vary", "*")]), (None, false));
    assert_eq!(vary(&[("etag", "\"1\""), ("vary", "no name")]), (None, false), "by what nobody can read nothing is found again");
}

#[test]
fn rfc9111_4_3_5_head_that_changes_what_selects_ends_the_stored_get() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60"), ("etag", "\"1\""), ("vary", "x-a, x-b")]);
    for (vary, kept) in [("X-B,x-a", true), ("x-a", false), ("no name", false), ("*", false)] {
        let response = [("vary", vary), ("etag", "\"1\"")];
        let HeadUpdate::Freshen { keep, .. } = head(&cache, 200, &response, &stored, 5) else { panic!("{vary}") };
        assert_eq!(keep, kept, "{vary}");
    }
}

#[test]
fn an_answer_to_a_head_with_credentials_ends_nothing_that_others_get() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "public, max-age=60"), ("etag", "\"1\"")]);
    let update = |response: Fields<'_>| {
        let (fields, headers) = (map(&[("authorization", "Basic x")]), map(response));
        let request = cache.request(&Method::HEAD, &[("authorization", "Basic x")]);
        head_update(&cache.exchange(after(100), &Method::HEAD, &request, &fields, 200, &headers), &stored, 5)
    };
    for response in [&[("etag", "\"2\"")][..], &[(CC, "no-store")], &[(CC, "private")]] {
        assert!(matches!(update(response), HeadUpdate::Unrelated), "{response:?}");
    }
    assert!(matches!(update(&[("etag", "\"1\"")]), HeadUpdate::Freshen { keep: true, .. }));
}

#[test]
fn an_answer_that_an_unkeyed_field_may_have_caused_updates_nothing() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60"), ("last-modified", HOUR_BEFORE)]);
    for steering in [("x-original-url", "/other"), ("x-http-method-override", "DELETE"), ("x_user", "ann")] {
        let (fields, request) = (map(&[steering]), cache.request(&Method::HEAD, &[steering]));
        for response in [&[][..], &[(CC, "no-store")], &[("etag", "\"2\"")], &[("content-length", "6")]] {
            let headers = map(response);
            let found = head_update(&cache.exchange(after(100), &Method::HEAD, &request, &fields, 200, &headers), &stored, 5);
            assert!(matches!(found, HeadUpdate::Unrelated), "{steering:?} {response:?}");
        }
        for response in [&[][..], &[("last-modified", HOUR_BEFORE)], &[(CC, "private")]] {
            let found = cache.receive_at(after(100), &Method::GET, &[steering], 304, response, &[&stored]);
            assert!(matches!(found, Disposition::Refetch { reason: Reason::UnkeyedField }), "{steering:?} {response:?} {found:?}");
        }
    }
}
