//! Constructing responses from the store (RFC 9111 §4) and serving them stale (§4.2.4, RFC 5861).

use http::Method;
use larder_semantics::{Decision, Policy, Reason, Timestamp, decide, decide_soft_purged, serve_on_error};

use crate::support::{Cache, T0, after, serve, validate};

const CC: &str = "cache-control";

#[test]
fn rfc9111_4_2_fresh_until_the_lifetime_is_reached() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60")]);
    assert_eq!(cache.get(0, &[], &stored), serve(0, Reason::Fresh));
    assert_eq!(cache.get(59, &[], &stored), serve(59, Reason::Fresh));
    assert_eq!(cache.get(60, &[], &stored), validate(Reason::Stale));
    assert_eq!(stored.ttl(after(59)), 1);
    assert_eq!(stored.ttl(after(100)), -40);
}

#[test]
fn rfc9111_4_2_3_the_age_of_upstream_caches_counts() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60"), ("age", "50")]);
    assert_eq!(cache.get(9, &[], &stored), serve(59, Reason::Fresh));
    assert_eq!(cache.get(10, &[], &stored), validate(Reason::Stale));
}

#[test]
fn rfc9111_4_2_3_an_age_beyond_counting_is_stale_and_not_a_panic() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=99999999999"), ("age", "18446744073709551615"), ("etag", "\"1\"")]);
    assert_eq!(cache.get(0, &[], &stored), validate(Reason::Stale));
    assert_eq!(stored.age(Timestamp::from_millis(u64::MAX)), 1 << 31);
}

#[test]
fn nothing_stored_is_forwarded() {
    let cache = Cache::default();
    let context = cache.request(&Method::GET, &[]);
    assert_eq!(decide(&cache.policy, &context, None, after(0)), Decision::Forward { reason: Reason::Absent });
}

#[test]
fn rfc9111_4_a_get_answers_get_and_head_only() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60")]);
    for (method, expected) in [
        (Method::GET, serve(1, Reason::Fresh)),
        (Method::HEAD, serve(1, Reason::Fresh)),
        (Method::POST, Decision::Forward { reason: Reason::Method }),
        (Method::OPTIONS, Decision::Forward { reason: Reason::Method }),
    ] {
        assert_eq!(decide(&cache.policy, &cache.request(&method, &[]), Some(&stored), after(1)), expected, "{method}");
    }
}

#[test]
fn rfc9111_5_2_1_request_directives_against_a_fresh_response() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60")]);
    let cases = [
        ("max-age=10", serve(10, Reason::Fresh)),
        ("max-age=9", validate(Reason::RequestMaxAge)),
        ("max-age=0, max-stale", validate(Reason::RequestMaxAge)),
        ("min-fresh=50", serve(10, Reason::Fresh)),
        ("min-fresh=51", validate(Reason::RequestMinFresh)),
        ("min-fresh=99999999999", validate(Reason::RequestMinFresh)),
        ("no-cache", validate(Reason::RequestNoCache)),
        ("no-store", serve(10, Reason::Fresh)),
        ("only-if-cached", serve(10, Reason::Fresh)),
        ("only-if-cached, no-cache", Decision::GatewayTimeout { reason: Reason::OnlyIfCached }),
    ];
    for (directives, expected) in cases {
        assert_eq!(cache.get(10, &[(CC, directives)], &stored), expected, "{directives}");
    }
    assert_eq!(cache.get(10, &[("pragma", "no-cache")], &stored), validate(Reason::RequestNoCache));
}

#[test]
fn rfc9111_5_2_1_1_a_reload_is_validated_even_within_the_second() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60")]);
    let request = cache.request(&Method::GET, &[(CC, "max-age=0")]);
    let at = |millis| decide(&cache.policy, &request, Some(&stored), Timestamp::from_millis(T0.as_millis() + millis));
    assert_eq!(at(1), validate(Reason::RequestMaxAge));
    // Nothing is younger than what arrives this moment: those who waited for it share it.
    assert_eq!(at(0), serve(0, Reason::Fresh));
}

#[test]
fn rfc9111_5_2_1_request_directives_against_a_stale_response() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60")]);
    let cases = [
        ("max-stale", serve(70, Reason::MaxStale)),
        ("max-stale=10", serve(70, Reason::MaxStale)),
        ("max-stale=9", validate(Reason::Stale)),
        ("max-stale=x", validate(Reason::Stale)),
        ("max-stale, min-fresh=1", validate(Reason::RequestMinFresh)),
        ("only-if-cached", Decision::GatewayTimeout { reason: Reason::OnlyIfCached }),
        ("only-if-cached, max-stale", serve(70, Reason::MaxStale)),
        ("no-store", Decision::Forward { reason: Reason::RequestNoStore }),
    ];
    for (directives, expected) in cases {
        assert_eq!(cache.get(70, &[(CC, directives)], &stored), expected, "{directives}");
    }
}

#[test]
fn rfc9111_5_2_1_7_only_if_cached_with_nothing_stored_is_504() {
    let cache = Cache::default();
    let context = cache.request(&Method::GET, &[(CC, "only-if-cached")]);
    assert_eq!(decide(&cache.policy, &context, None, after(0)), Decision::GatewayTimeout { reason: Reason::OnlyIfCached });
}

#[test]
fn rfc9111_5_2_2_4_no_cache_is_validated_each_time() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "no-cache, max-age=60, stale-while-revalidate=60"), ("etag", "\"1\"")]);
    assert_eq!(cache.get(0, &[], &stored), validate(Reason::ResponseNoCache));
    assert_eq!(cache.get(0, &[(CC, "max-stale")], &stored), validate(Reason::ResponseNoCache));
}

#[test]
fn rfc9111_4_2_4_what_forbids_stale() {
    let cache = Cache::default();
    for forbids in ["must-revalidate, max-age=60", "proxy-revalidate, max-age=60", "s-maxage=60"] {
        let directives = format!("{forbids}, stale-while-revalidate=60, stale-if-error=60");
        let stored = cache.store(&[(CC, &directives)]);
        assert_eq!(cache.get(70, &[], &stored), validate(Reason::MustRevalidate), "{forbids}");
        assert_eq!(cache.get(70, &[(CC, "max-stale")], &stored), validate(Reason::MustRevalidate), "{forbids}");
        let request = cache.request(&Method::GET, &[(CC, "stale-if-error=60")]);
        assert_eq!(serve_on_error(&cache.policy, &request, &stored, after(70)), None, "{forbids}");
    }
}

#[test]
fn rfc5861_3_stale_while_revalidate() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60, stale-while-revalidate=30")]);
    let stale = |age| Decision::ServeStale { age, reason: Reason::StaleWhileRevalidate };
    assert_eq!(cache.get(60, &[], &stored), stale(60));
    assert_eq!(cache.get(89, &[], &stored), stale(89));
    assert_eq!(cache.get(90, &[], &stored), validate(Reason::Stale));
    assert_eq!(cache.get(60, &[(CC, "only-if-cached")], &stored), stale(60));
    // "Unless the max-stale request directive is also present, the client does not wish to receive a stale response."
    assert_eq!(cache.get(60, &[(CC, "max-age=100")], &stored), validate(Reason::Stale));
}

#[test]
fn rfc5861_3_the_routes_window_stands_in_for_the_origins() {
    let cache = Cache::with(Policy::default().with(|policy| policy.stale_while_revalidate = 30));
    let stored = cache.store(&[(CC, "max-age=60")]);
    assert_eq!(cache.get(60, &[], &stored), Decision::ServeStale { age: 60, reason: Reason::StaleWhileRevalidate });
    let stored = cache.store(&[(CC, "max-age=60, stale-while-revalidate=0")]);
    assert_eq!(cache.get(60, &[], &stored), validate(Reason::Stale));
    let stored = cache.store(&[(CC, "max-age=0"), ("etag", "\"1\"")]);
    assert_eq!(cache.get(0, &[], &stored), validate(Reason::Stale));
}

#[test]
fn rfc5861_4_stale_if_error_of_response_route_and_request() {
    let plain = Cache::default();
    let route = Cache::with(Policy::default().with(|policy| policy.stale_if_error = 30));
    let on_error = |cache: &Cache, response: &str, request: &str, seconds| {
        let stored = cache.store(&[(CC, response)]);
        serve_on_error(&cache.policy, &cache.request(&Method::GET, &[(CC, request)]), &stored, after(seconds))
    };
    let served = |age| Some((age, Reason::StaleIfError));
    assert_eq!(on_error(&plain, "max-age=60", "", 61), None);
    assert_eq!(on_error(&plain, "max-age=60, stale-if-error=30", "", 89), served(89));
    assert_eq!(on_error(&plain, "max-age=60, stale-if-error=30", "", 90), None);
    assert_eq!(on_error(&route, "max-age=60", "", 89), served(89));
    assert_eq!(on_error(&route, "max-age=60, stale-if-error=0", "", 89), None);
    assert_eq!(on_error(&plain, "max-age=60", "stale-if-error=30", 89), served(89));
    // "Regardless of other freshness information"; but no-cache asks for a successful validation.
    assert_eq!(on_error(&route, "max-age=60", "max-age=0", 89), served(89));
    assert_eq!(on_error(&route, "max-age=60", "no-cache", 89), None);
    assert_eq!(on_error(&route, "max-age=60", "max-age=0", 10), served(10));
}

#[test]
fn rfc8246_2_immutable_skips_validation_while_fresh() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60, immutable")]);
    assert_eq!(cache.get(10, &[(CC, "max-age=0")], &stored), serve(10, Reason::Immutable));
    assert_eq!(cache.get(10, &[(CC, "no-cache")], &stored), validate(Reason::RequestNoCache));
    assert_eq!(cache.get(60, &[(CC, "max-age=0")], &stored), validate(Reason::RequestMaxAge));
}

#[test]
fn rfc9111_3_5_a_response_without_credentials_does_not_answer_a_request_with_them() {
    let cache = Cache::default();
    let authorized = &[("authorization", "Bearer t")];
    let stored = cache.store(&[(CC, "max-age=60")]);
    assert_eq!(cache.get(0, authorized, &stored), Decision::Forward { reason: Reason::Authorization });
    for allowed in ["public, max-age=60", "s-maxage=60", "max-age=60, must-revalidate"] {
        assert_eq!(cache.get(0, authorized, &cache.store(&[(CC, allowed)])), serve(0, Reason::Fresh), "{allowed}");
    }
}

#[test]
fn rfc9110_13_2_2_if_match_is_for_the_origin() {
    let cache = Cache::default();
    let stored = cache.store(&[(CC, "max-age=60"), ("etag", "\"1\"")]);
    for name in ["if-match", "if-unmodified-since"] {
        assert_eq!(cache.get(0, &[(name, "\"1\"")], &stored), Decision::Forward { reason: Reason::OriginPrecondition });
        assert_eq!(cache.get(0, &[(name, "\"1\""), (CC, "only-if-cached")], &stored), serve(0, Reason::Fresh));
    }
}

#[test]
fn a_soft_purge_makes_what_is_fresh_stale_and_leaves_every_other_rule_in_force() {
    let cache = Cache::default();
    let ask = |stored: &larder_semantics::StoredHead, seconds, request: &[(&str, &str)]| {
        decide_soft_purged(&cache.policy, &cache.request(&Method::GET, request), stored, after(seconds))
    };
    for control in ["max-age=60", "max-age=60, immutable", "max-age=60, must-revalidate"] {
        let stored = cache.store(&[(CC, control)]);
        assert_eq!(ask(&stored, 9, &[]), Decision::ServeStale { age: 9, reason: Reason::SoftPurged }, "{control}");
        assert_eq!(ask(&stored, 9, &[(CC, "no-cache")]), validate(Reason::RequestNoCache), "{control}");
        assert_eq!(ask(&stored, 9, &[(CC, "max-age=5")]), validate(Reason::RequestMaxAge), "{control}");
    }
    let stored = cache.store(&[(CC, "max-age=60, stale-while-revalidate=10")]);
    assert_eq!(ask(&stored, 65, &[]), Decision::ServeStale { age: 65, reason: Reason::StaleWhileRevalidate });
    assert_eq!(ask(&stored, 75, &[]), validate(Reason::Stale));
}
