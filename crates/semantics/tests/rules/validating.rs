//! Sending a validation request (RFC 9111 §4.3.1).

use http::{HeaderMap, Method};
use larder_semantics::validation::{may_confirm_another, upstream_fields};
use larder_semantics::{Disposition, Reason, StoredHead};

use crate::support::{Cache, Fields, HOUR_BEFORE, T0, T0_DATE, map, text};

const CC: &str = "cache-control";

fn upstream(method: &Method, request: Fields<'_>, candidates: &[&StoredHead]) -> HeaderMap {
    let mut headers = map(request);
    upstream_fields(&Cache::default().request(method, request), &mut headers, candidates);
    headers
}

#[test]
fn rfc9111_4_3_1_both_validators_go_out() {
    let stored = Cache::default().store(&[("etag", "\"1\""), ("last-modified", HOUR_BEFORE)]);
    let headers = upstream(&Method::GET, &[("accept", "a")], &[&stored]);
    assert_eq!(headers, map(&[("accept", "a"), ("if-none-match", "\"1\""), ("if-modified-since", HOUR_BEFORE)]));
}

#[test]
fn rfc9111_4_3_1_tags_of_all_variants_go_out_once() {
    let cache = Cache::default();
    let tagged = |tag| cache.store(&[("etag", tag)]);
    let (one, two, same, bare) = (tagged("\"1\""), tagged("W/\"2\""), tagged("\"1\""), cache.store(&[(CC, "max-age=1")]));
    let headers = upstream(&Method::GET, &[], &[&one, &two, &bare, &same]);
    assert_eq!(text(&headers, "if-none-match").as_deref(), Some("\"1\", W/\"2\""));
}

#[test]
fn a_selected_response_without_a_tag_is_asked_for_by_date_alone() {
    let cache = Cache::default();
    let selected = cache.store(&[("last-modified", HOUR_BEFORE)]);
    let other = cache.store(&[("etag", "\"1\""), ("last-modified", T0_DATE)]);
    assert_eq!(upstream(&Method::GET, &[], &[&selected, &other]), map(&[("if-modified-since", HOUR_BEFORE)]));
}

#[test]
fn a_last_modified_that_is_no_date_validates_nothing() {
    let stored = Cache::default().store(&[(CC, "max-age=1"), ("last-modified", "yesterday")]);
    assert!(!stored.has_validator());
    assert!(upstream(&Method::GET, &[], &[&stored]).is_empty());
}

#[test]
fn the_clients_own_conditions_and_range_are_answered_from_the_store() {
    let request = [("if-none-match", "\"c\""), ("if-modified-since", T0_DATE), ("range", "bytes=0-1"), ("if-range", "\"c\""), ("x", "1")];
    assert_eq!(upstream(&Method::GET, &request, &[]), map(&[("x", "1")]));
    let stored = Cache::default().store(&[("etag", "\"1\"")]);
    assert_eq!(upstream(&Method::GET, &request, &[&stored]), map(&[("x", "1"), ("if-none-match", "\"1\"")]));
    assert_eq!(upstream(&Method::HEAD, &request, &[&stored]), map(&[("x", "1"), ("if-none-match", "\"1\"")]));
}

#[test]
fn a_condition_of_this_client_alone_goes_up_unchanged() {
    let stored = Cache::default().store(&[("etag", "\"1\"")]);
    let cases: [(Method, Fields<'_>); 4] = [
        (Method::GET, &[(CC, "no-store"), ("if-none-match", "\"c\""), ("range", "bytes=0-1")]),
        (Method::GET, &[("if-match", "\"c\""), ("range", "bytes=0-1")]),
        (Method::GET, &[("if-unmodified-since", T0_DATE)]),
        (Method::PUT, &[("if-none-match", "*")]),
    ];
    for (method, request) in cases {
        assert_eq!(upstream(&method, request, &[&stored]), map(request), "{method} {request:?}");
    }
    assert_eq!(upstream(&Method::HEAD, &[("if-none-match", "\"c\"")], &[]), map(&[("if-none-match", "\"c\"")]));
}

#[test]
fn rfc9111_3_5_what_may_not_answer_a_request_does_not_validate_for_it() {
    let cache = Cache::default();
    let anonymous = cache.store(&[(CC, "max-age=60"), ("etag", "\"1\"")]);
    let shared = cache.store(&[(CC, "public, max-age=60"), ("etag", "\"2\"")]);
    let headers = upstream(&Method::GET, &[("authorization", "Basic x")], &[&anonymous, &shared]);
    assert_eq!(text(&headers, "if-none-match").as_deref(), Some("\"2\""));
    let request = &[("authorization", "Basic x")];
    let found = cache.receive_at(T0, &Method::GET, request, 304, &[("etag", "\"1\"")], &[&anonymous]);
    assert!(matches!(found, Disposition::Pass { reason: Reason::NotModified, .. }), "{found:?}");
    let found = cache.receive_at(T0, &Method::GET, request, 200, &[(CC, "max-age=60")], &[&anonymous]);
    assert!(matches!(found, Disposition::Pass { reason: Reason::Authorization, remember: false }), "{found:?}");
}

#[test]
fn only_a_strong_tag_may_confirm_another_variant() {
    let stored = |fields: Fields<'_>| Cache::default().store(fields);
    let gzip = stored(&[("etag", "\"1\""), ("content-encoding", "gzip")]);
    let cases: [(&StoredHead, &str, bool); 8] = [
        (&stored(&[("etag", "W/\"1\"")]), "gzip", false),
        (&stored(&[("last-modified", HOUR_BEFORE)]), "gzip", false),
        (&stored(&[("etag", "\"1\"")]), "gzip", true),
        (&gzip, "br, x-gzip;q=0.1", true),
        (&gzip, "identity", false),
        (&gzip, "gzip;q=0, br", false),
        (&gzip, "*", false),
        (&stored(&[("etag", "\"1\""), ("content-encoding", "identity")]), "br", true),
    ];
    for (stored, accepted, may) in cases {
        assert_eq!(may_confirm_another(stored, &map(&[("accept-encoding", accepted)])), may, "{stored:?} for {accepted}");
    }
    assert!(!may_confirm_another(&gzip, &map(&[])), "a client that names no coding may not know any");
}
