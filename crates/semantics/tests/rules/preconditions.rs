//! The client's preconditions against a stored response (RFC 9110 §13.2.2, RFC 9111 §4.3.2).

use http::Method;
use larder_semantics::precondition::{Precondition, evaluate, not_modified_fields};

use crate::support::{Cache, Fields, HOUR_BEFORE, T0_DATE, map};

const CC: &str = "cache-control";

fn ask(method: &Method, request: Fields<'_>, status: u16, response: Fields<'_>) -> Precondition {
    let cache = Cache::default();
    let (stored, _) = cache.store_with(&[], status, &[&[(CC, "max-age=60"), ("date", T0_DATE)], response].concat());
    evaluate(&cache.request(method, request), &map(request), &stored)
}

fn get(request: Fields<'_>, response: Fields<'_>) -> Precondition {
    ask(&Method::GET, request, 200, response)
}

#[test]
fn rfc9110_13_1_2_if_none_match_compares_weakly() {
    let tag = [("etag", "W/\"1\"")];
    assert_eq!(get(&[("if-none-match", "\"1\"")], &tag), Precondition::NotModified);
    assert_eq!(get(&[("if-none-match", "\"0\", W/\"1\"")], &tag), Precondition::NotModified);
    assert_eq!(get(&[("if-none-match", "*")], &tag), Precondition::NotModified);
    assert_eq!(get(&[("if-none-match", "*")], &[]), Precondition::NotModified);
    assert_eq!(get(&[("if-none-match", "\"2\"")], &tag), Precondition::Met);
    assert_eq!(get(&[("if-none-match", "\"1\"")], &[]), Precondition::Met);
    assert_eq!(ask(&Method::HEAD, &[("if-none-match", "\"1\"")], 200, &tag), Precondition::NotModified);
}

#[test]
fn rfc9110_13_1_3_if_modified_since() {
    let modified = [("last-modified", HOUR_BEFORE)];
    let since = |date| get(&[("if-modified-since", date)], &modified);
    assert_eq!(since(HOUR_BEFORE), Precondition::NotModified);
    assert_eq!(since(T0_DATE), Precondition::NotModified);
    assert_eq!(since("Sunday, 06-Nov-94 07:49:37 GMT"), Precondition::NotModified);
    assert_eq!(since("Sun, 06 Nov 1994 07:49:36 GMT"), Precondition::Met);
    assert_eq!(since("rubbish"), Precondition::Met);
    assert_eq!(get(&[("if-modified-since", T0_DATE), ("if-modified-since", T0_DATE)], &modified), Precondition::Met);
}

#[test]
fn rfc9111_4_3_2_without_last_modified_the_date_counts() {
    assert_eq!(get(&[("if-modified-since", T0_DATE)], &[]), Precondition::NotModified);
    assert_eq!(get(&[("if-modified-since", HOUR_BEFORE)], &[]), Precondition::Met);
}

#[test]
fn rfc9110_13_2_2_if_none_match_comes_before_if_modified_since() {
    let response = [("etag", "\"1\""), ("last-modified", HOUR_BEFORE)];
    assert_eq!(get(&[("if-none-match", "\"2\""), ("if-modified-since", T0_DATE)], &response), Precondition::Met);
    assert_eq!(
        get(&[("if-none-match", "\"1\""), ("if-modified-since", "Sun, 06 Nov 1994 07:49:36 GMT")], &response),
        Precondition::NotModified
    );
}

#[test]
fn rfc9110_13_2_2_if_match_comes_first_and_compares_strongly() {
    let response = [("etag", "\"1\""), ("last-modified", HOUR_BEFORE)];
    assert_eq!(get(&[("if-match", "\"1\"")], &response), Precondition::Met);
    assert_eq!(get(&[("if-match", "*")], &response), Precondition::Met);
    assert_eq!(get(&[("if-match", "\"2\""), ("if-none-match", "\"1\"")], &response), Precondition::Failed);
    assert_eq!(get(&[("if-match", "W/\"1\"")], &[("etag", "W/\"1\"")]), Precondition::Failed);
    assert_eq!(get(&[("if-match", "\"1\""), ("if-none-match", "\"1\"")], &response), Precondition::NotModified);
    assert_eq!(get(&[("if-unmodified-since", "Sun, 06 Nov 1994 07:49:36 GMT")], &response), Precondition::Failed);
    assert_eq!(get(&[("if-unmodified-since", HOUR_BEFORE)], &response), Precondition::Met);
    assert_eq!(get(&[("if-match", "\"1\""), ("if-unmodified-since", "Sun, 06 Nov 1994 07:49:36 GMT")], &response), Precondition::Met);
}

#[test]
fn rfc9110_13_2_1_preconditions_are_about_successful_responses() {
    assert_eq!(ask(&Method::GET, &[("if-none-match", "\"1\"")], 404, &[("etag", "\"1\"")]), Precondition::Met);
    assert_eq!(ask(&Method::GET, &[("if-none-match", "*")], 301, &[]), Precondition::Met);
}

#[test]
fn rfc9110_15_4_5_fields_of_a_304() {
    let all: Fields<'_> = &[
        (CC, "max-age=60"),
        ("date", T0_DATE),
        ("etag", "\"1\""),
        ("expires", "0"),
        ("vary", "accept"),
        ("content-location", "/x"),
        ("last-modified", HOUR_BEFORE),
        ("content-type", "text/plain"),
        ("content-length", "5"),
        ("content-encoding", "gzip"),
        ("content-language", "en"),
        ("access-control-allow-origin", "*"),
    ];
    let names = |response: Fields<'_>| {
        let mut names: Vec<_> = not_modified_fields(&Cache::default().store(response)).keys().map(ToString::to_string).collect();
        names.retain(|name| !["age", "cache-status", "x-cache"].contains(&name.as_str()));
        names.sort_unstable();
        names.join(" ")
    };
    assert_eq!(names(all), "access-control-allow-origin cache-control content-location date etag expires vary");
    let untagged: Vec<_> = all.iter().copied().filter(|(name, _)| *name != "etag").collect();
    assert_eq!(names(&untagged), "access-control-allow-origin cache-control content-location date expires last-modified vary");
}
