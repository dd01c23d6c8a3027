//! Cookies that the key knows nothing of: whose lifetime counts, and who may then be answered from the store.

use http::Method;
use larder_semantics::{
    CookiePolicy, Decision, Disposition, ForwardReason, HeadUpdate, Policy, Reason, TtlMode, head_update, serve_on_error,
};

use crate::support::{Cache, Fields, HOUR_BEFORE, T0_DATE, after, map, serve};

const CC: &str = "cache-control";
const SESSION: Fields<'_> = &[("cookie", "session=1")];
const FORWARD: Decision = Decision::Forward { reason: Reason::Cookie };

fn operators(ttl_mode: TtlMode) -> Cache {
    Cache::with(Policy::default().with(|policy| (policy.ttl, policy.ttl_mode) = (60, ttl_mode)))
}

#[test]
fn a_lifetime_of_the_operators_alone_is_not_for_requests_with_cookies() {
    let default = operators(TtlMode::Default);
    let dated: Fields<'_> = &[("date", T0_DATE), ("last-modified", HOUR_BEFORE)];
    let cases: [(&Cache, Fields<'_>); 9] = [
        (&default, &[]),
        (&default, &[(CC, "no-cache"), ("etag", "\"1\"")]),
        (&operators(TtlMode::Cap), &[]),
        (&operators(TtlMode::Override), &[(CC, "max-age=0")]),
        (&operators(TtlMode::Override), &[("expires", "0")]),
        (&Cache::default(), dated),
        (&Cache::default(), &[("etag", "\"1\"")]),
        (&Cache::default(), &[(CC, "max-age=0"), ("etag", "\"1\"")]),
        (&Cache::with(Policy::default().with(|policy| policy.stale_if_error = 60)), &[("expires", "0"), ("etag", "\"1\"")]),
    ];
    for (cache, response) in cases {
        assert_eq!(cache.refuse(SESSION, 200, response), (Reason::Cookie, true), "{response:?}");
        let anonymous = cache.store(response);
        assert_eq!(cache.get(1, SESSION, &anonymous), FORWARD, "{response:?}");
        assert_ne!(cache.get(1, &[], &anonymous), FORWARD, "{response:?}");
        let context = cache.request(&Method::GET, SESSION);
        assert_eq!(serve_on_error(&cache.policy, &context, &anonymous, after(1)), None, "it stands in for nothing: {response:?}");
    }
    assert_eq!(Reason::Cookie.forward(), ForwardReason::Request);
}

#[test]
fn where_the_origin_speaks_for_everyone_cookies_do_not_matter() {
    let route = operators(TtlMode::Default);
    let spoken: [(&Cache, Fields<'_>); 9] = [
        (&route, &[(CC, "max-age=60")]),
        (&route, &[("expires", "Sun, 06 Nov 1994 08:50:37 GMT"), ("date", T0_DATE)]),
        (&route, &[(CC, "public")]),
        (&route, &[(CC, "s-maxage=60")]),
        (&route, &[(CC, "must-revalidate")]),
        (&route, &[("cdn-cache-control", "must-understand")]),
        (&operators(TtlMode::Cap), &[(CC, "max-age=600")]),
        (&operators(TtlMode::Override), &[(CC, "max-age=600")]),
        (&operators(TtlMode::Override), &[(CC, "max-age=0, public")]),
    ];
    for (cache, response) in spoken {
        let stored = cache.store_with(SESSION, 200, response).0;
        for request in [SESSION, &[], &[("cookie", "session=2")]] {
            assert_eq!(cache.get(0, request, &stored), serve(0, Reason::Fresh), "{response:?}");
        }
    }
}

/// RFC 9111 §4.1: what is selected by `Cookie` goes to requests with the same ones only.
#[test]
fn a_response_that_is_selected_by_cookies_is_stored_for_each() {
    let cache = operators(TtlMode::Default);
    for vary in ["Cookie", "accept-encoding, COOKIE"] {
        let (stored, selects) = cache.store_with(SESSION, 200, &[("vary", vary)]);
        assert!(selects.is_some());
        assert_eq!(cache.get(0, SESSION, &stored), serve(0, Reason::Fresh));
    }
    assert_eq!(cache.refuse(SESSION, 200, &[("vary", "x-cookie")]).0, Reason::Cookie);
}

#[test]
fn the_route_may_ignore_cookies_or_pass_them() {
    let with = |cookies| Cache::with(Policy::default().with(|policy| (policy.ttl, policy.cookies) = (60, cookies)));
    let stored = with(CookiePolicy::Ignore).store_with(SESSION, 200, &[]).0;
    assert_eq!(with(CookiePolicy::Ignore).get(0, SESSION, &stored), serve(0, Reason::Fresh));
    let pass = with(CookiePolicy::Pass);
    for response in [&[(CC, "public, max-age=60")][..], &[("vary", "cookie")], &[]] {
        assert_eq!(pass.refuse(SESSION, 200, response), (Reason::Cookie, true), "{response:?}");
        assert_eq!(pass.get(0, SESSION, &pass.store(response)), FORWARD);
    }
}

#[test]
fn an_identity_in_the_key_is_enough() {
    let cache = Cache { identified: true, ..operators(TtlMode::Default) };
    let stored = cache.store_with(SESSION, 200, &[]).0;
    assert_eq!(cache.get(0, SESSION, &stored), serve(0, Reason::Fresh));
}

#[test]
fn an_answer_to_cookies_leaves_alone_what_is_stored_for_others() {
    let cache = operators(TtlMode::Default);
    let stored = cache.store(&[("etag", "\"1\"")]);
    let mine = cache.receive_at(after(61), &Method::GET, SESSION, 200, &[("etag", "\"2\"")], &[&stored]);
    assert!(matches!(mine, Disposition::Pass { reason: Reason::Cookie, remember: false }), "{mine:?}");
    // No validator of ours went up, so a 304 is the client's own.
    let unchanged = cache.receive_at(after(61), &Method::GET, SESSION, 304, &[("etag", "\"1\"")], &[&stored]);
    assert!(matches!(unchanged, Disposition::Pass { reason: Reason::NotModified, .. }), "{unchanged:?}");
    let (context, fields, none) = (cache.request(&Method::HEAD, SESSION), map(SESSION), map(&[("etag", "\"2\"")]));
    let head = cache.exchange(after(1), &Method::HEAD, &context, &fields, 200, &none);
    assert!(matches!(head_update(&head, &stored, 0), HeadUpdate::Unrelated));
}

#[test]
fn a_304_that_takes_back_the_origins_lifetime_is_not_kept_for_cookies() {
    let cache = operators(TtlMode::Default);
    let stored = cache.store_with(SESSION, 200, &[(CC, "max-age=60"), ("etag", "\"1\"")]).0;
    for (update, keep) in [(&[(CC, "max-age=60"), ("etag", "\"1\"")][..], true), (&[(CC, "no-cache"), ("etag", "\"1\"")], false)] {
        match cache.receive_at(after(61), &Method::GET, SESSION, 304, update, &[&stored]) {
            Disposition::Freshen { answer, .. } => assert_eq!(answer.keep, keep, "{update:?}"),
            other => panic!("{other:?}"),
        }
    }
}
