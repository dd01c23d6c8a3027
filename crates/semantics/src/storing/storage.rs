//! Which responses may be stored (RFC 9111 §3).

use http::header::{CONTENT_TYPE, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::directives::ResponseDirectives;
use crate::head::stored::{LifetimeSource, StoredHead};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::request::RequestContext;
use crate::reuse::freshness::heuristically_cacheable;
pub use crate::status::{never_stored, refuses_the_request};
use crate::storing::disposition::Exchange;

/// Whether a response with these fields may be stored at all; otherwise why not. In the order of §3; the method has been looked at.
pub fn permitted(
    policy: &Policy,
    request: &RequestContext,
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
) -> Result<(), Reason> {
    // "the response status code is final"; "if the response status code is 206 or 304 [...]: the cache understands the response status
    // code": those two are dealt with where they can be (validation, ranges).
    if status == StatusCode::PARTIAL_CONTENT {
        return Err(Reason::PartialContent);
    }
    if status.is_informational() || never_stored(status) {
        return Err(Reason::Status);
    }
    // "the must-understand cache directive is present: the cache understands the response status code". And then it "SHOULD ignore the
    // no-store directive" (§5.2.2.3).
    if directives.must_understand && !understood(status) {
        return Err(Reason::MustUnderstand);
    }
    // "the no-store cache directive is not present in the response"; "A cache MUST NOT store any part of either this request or any
    // response to it" (§5.2.1.5).
    if request.directives.no_store {
        return Err(Reason::RequestNoStore);
    }
    if directives.no_store && !directives.must_understand && !policy.unsafe_ignore.no_store {
        return Err(Reason::NoStore);
    }
    // "if the cache is shared: the private response directive is either not present or allows a shared cache to store a modified
    // response". A key with an identity makes a cache of one user's.
    if directives.private.whole() && !request.identified && !policy.unsafe_ignore.private {
        return Err(Reason::Private);
    }
    // "if the cache is shared: the Authorization header field is not present in the request or a response directive is present that
    // explicitly allows shared caching" (§3.5).
    if request.authorization && !directives.allows_authorization() && !policy.unsafe_ignore.authorization {
        return Err(Reason::Authorization);
    }
    own_rules(policy, headers, directives)
}

/// Rules that this cache adds to §3.
fn own_rules(policy: &Policy, headers: &HeaderMap, directives: &ResponseDirectives) -> Result<(), Reason> {
    let sets_cookies = || headers.contains_key(SET_COOKIE) || headers.contains_key("set-cookie2");
    if !policy.unsafe_ignore.set_cookie && sets_cookies() && !cookies_meant_for_sharing(directives) {
        return Err(Reason::SetCookie);
    }
    // "A stored response with a Vary header field value containing a member "*" always fails to match" (§4.1): storing it is in vain.
    if headers.get_all(VARY).iter().any(|line| line.as_bytes().split(|&byte| byte == b',').any(|name| name.trim_ascii() == b"*")) {
        return Err(Reason::VaryStar);
    }
    if is_endless(policy, headers) {
        return Err(Reason::Streaming);
    }
    Ok(())
}

/// "The Set-Cookie response header field does not inhibit caching" (§7.3), but a response that sets a cookie was mostly made for one user.
/// It is stored, without the field, where the origin addresses shared caches, or where `private` or `no-cache` names the field.
fn cookies_meant_for_sharing(directives: &ResponseDirectives) -> bool {
    let named = directives.private.fields().iter().chain(directives.no_cache.fields());
    directives.speaks_to_shared_caches() || named.into_iter().any(|name| name == SET_COOKIE)
}

/// Media types whose responses go on for as long as a client reads.
fn is_endless(policy: &Policy, headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return false };
    (is_event_stream(value) && !policy.record_streams) || essence(value).eq_ignore_ascii_case(b"multipart/x-mixed-replace")
}

/// Whether a media type is that of server-sent events.
pub fn is_event_stream(content_type: &HeaderValue) -> bool {
    essence(content_type).eq_ignore_ascii_case(b"text/event-stream")
}

fn essence(content_type: &HeaderValue) -> &[u8] {
    content_type.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii()
}

/// The statuses whose caching requirements this cache implements (§5.2.2.3): those of RFC 9110 but 206.
fn understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=205 | 300..=303 | 307 | 308 | 400..=406 | 409..=411 | 413..=415 | 422 | 500..=505)
}

/// Whether a stored response with this head could ever be used: "at least one of the following" of §3 (`public`, `private`, `Expires`,
/// `max-age`, `s-maxage`, a heuristically cacheable status), and then a lifetime, a validator or a stale window.
pub fn useful(
    status: StatusCode,
    named: bool,
    directives: &ResponseDirectives,
    head: &StoredHead,
    request: &RequestContext,
) -> Result<(), Reason> {
    let marked = directives.public || (request.identified && directives.private.whole());
    let by_route = head.lifetime.source == LifetimeSource::Route;
    if !(named || marked || by_route || heuristically_cacheable(status)) {
        return Err(Reason::Status);
    }
    // A failure or a refusal without a lifetime would be kept for validation and for standing in: it is nothing to stand in, and would take
    // the place of what is.
    if head.lifetime.seconds == 0 && (status.is_server_error() || refuses_the_request(status)) {
        return Err(without_lifetime(head));
    }
    if head.has_validator() {
        return Ok(());
    }
    if head.no_cache() {
        return Err(Reason::ResponseNoCache);
    }
    let window = if head.must_revalidate() { 0 } else { head.stale_while_revalidate.max(head.stale_if_error) };
    if head.lifetime.seconds.saturating_add(window) > head.initial_age { Ok(()) } else { Err(without_lifetime(head)) }
}

/// Whether a response was fresh when its request went out, so that only the time that its origin took makes it stale (§4.2.3).
pub(crate) fn is_over_by_delay(exchange: &Exchange<'_>, head: &StoredHead) -> bool {
    let is_answer = !exchange.status.is_server_error() && !refuses_the_request(exchange.status);
    is_answer && !head.no_cache() && head.was_fresh(exchange.request_time)
}

/// None was given, or one that is over already.
fn without_lifetime(head: &StoredHead) -> Reason {
    if head.lifetime.source == LifetimeSource::None { Reason::NoLifetime } else { Reason::LifetimeZero }
}

/// Whether the key should be remembered as one whose responses are not shared, so that requests for it do not wait for each other.
pub fn worth_remembering(reason: Reason, status: StatusCode) -> bool {
    let about_the_resource = matches!(
        reason,
        Reason::NoStore
            | Reason::Private
            | Reason::SetCookie
            | Reason::VaryStar
            | Reason::Authorization
            | Reason::Cookie
            | Reason::Streaming
            | Reason::NoLifetime
            | Reason::LifetimeZero
            | Reason::ResponseNoCache
            | Reason::MustUnderstand
            | Reason::Status
            | Reason::QuickOrigin
            | Reason::MisleadingPath
    );
    about_the_resource && !status.is_server_error() && !refuses_the_request(status)
}

/// Whether a response that is not stored shows that the stored response selected for its request no longer holds: "a full response [...]
/// indicates that none of the stored responses nominated in the conditional request are suitable" (§4.3.3). An error does not, nor does what
/// concerns this one request: its preconditions, its range, its credentials, a refusal; nor an answer to HEAD (§4.3.5 is about those).
pub fn supersedes(request: &RequestContext, reason: Reason, status: StatusCode) -> bool {
    let about_the_request = request.authorization
        || matches!(
            reason,
            Reason::Head
                | Reason::Method
                | Reason::RequestNoStore
                | Reason::Authorization
                | Reason::Cookie
                | Reason::UnkeyedField
                | Reason::Reflected
                | Reason::NamesClient
                | Reason::DiffersByClient
                | Reason::UpstreamError
        );
    !about_the_request && !status.is_server_error() && !refuses_the_request(status) && status != StatusCode::PARTIAL_CONTENT
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Method};

    use super::*;
    use crate::policy::UnsafeIgnore;

    struct Case {
        policy: Policy,
        request: HeaderMap,
        identified: bool,
    }

    fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn check(case: &Case, status: u16, response: &[(&'static str, &'static str)]) -> Result<(), Reason> {
        let headers = fields(response);
        let directives = ResponseDirectives::parse(&headers, &case.policy.targeted);
        let request = RequestContext::new(&Method::GET, &case.request, &case.policy, case.identified, false);
        permitted(&case.policy, &request, StatusCode::from_u16(status).unwrap(), &headers, &directives)
    }

    fn plain() -> Case {
        Case { policy: Policy::default(), request: HeaderMap::new(), identified: false }
    }

    const CC: &str = "cache-control";

    #[test]
    fn rfc9111_3_what_forbids_storing() {
        type Fields = &'static [(&'static str, &'static str)];
        let cases: [(Fields, Result<(), Reason>); 12] = [
            (&[(CC, "max-age=60")], Ok(())),
            (&[(CC, "max-age=60, no-store")], Err(Reason::NoStore)),
            (&[(CC, "max-age=60, private")], Err(Reason::Private)),
            (&[(CC, "max-age=60, private=\"x-user\"")], Ok(())),
            (&[(CC, "max-age=60, no-cache=\"x-user\"")], Ok(())),
            (&[(CC, "max-age=60"), ("set-cookie", "a=b")], Err(Reason::SetCookie)),
            (&[(CC, "public, max-age=60"), ("set-cookie", "a=b")], Ok(())),
            (&[(CC, "s-maxage=60"), ("set-cookie", "a=b")], Ok(())),
            (&[(CC, "max-age=60, no-cache=\"set-cookie\""), ("set-cookie", "a=b")], Ok(())),
            (&[("cdn-cache-control", "max-age=60"), ("set-cookie", "a=b")], Ok(())),
            (&[(CC, "max-age=60"), ("vary", "accept, *")], Err(Reason::VaryStar)),
            (&[(CC, "max-age=60"), ("content-type", "Text/Event-Stream; charset=utf-8")], Err(Reason::Streaming)),
        ];
        for (response, expected) in cases {
            assert_eq!(check(&plain(), 200, response), expected, "{response:?}");
        }
    }

    #[test]
    fn rfc9111_3_5_authorization_needs_the_origins_leave() {
        let case = Case { request: fields(&[("authorization", "Basic x")]), ..plain() };
        assert_eq!(check(&case, 200, &[(CC, "max-age=60")]), Err(Reason::Authorization));
        for leave in ["public, max-age=60", "s-maxage=60", "must-revalidate, max-age=60"] {
            assert_eq!(check(&case, 200, &[(CC, leave)]), Ok(()), "{leave}");
        }
    }

    #[test]
    fn rfc9111_5_2_1_5_a_no_store_request_keeps_nothing() {
        let case = Case { request: fields(&[(CC, "no-store")]), ..plain() };
        assert_eq!(check(&case, 200, &[(CC, "max-age=60")]), Err(Reason::RequestNoStore));
    }

    #[test]
    fn rfc9111_5_2_2_3_must_understand_lifts_no_store_for_understood_statuses() {
        let both = [(CC, "must-understand, no-store, max-age=60")];
        assert_eq!(check(&plain(), 200, &both), Ok(()));
        assert_eq!(check(&plain(), 404, &both), Ok(()));
        assert_eq!(check(&plain(), 299, &both), Err(Reason::MustUnderstand));
        assert_eq!(check(&plain(), 299, &[(CC, "max-age=60")]), Ok(()));
    }

    #[test]
    fn rfc9111_3_statuses_that_are_never_stored() {
        assert_eq!(check(&plain(), 206, &[(CC, "max-age=60")]), Err(Reason::PartialContent));
        for status in [103, 304, 412, 416, 429] {
            assert_eq!(check(&plain(), status, &[(CC, "max-age=60")]), Err(Reason::Status), "{status}");
        }
    }

    #[test]
    fn an_identity_in_the_key_lets_private_responses_be_stored() {
        let case = Case { identified: true, ..plain() };
        assert_eq!(check(&case, 200, &[(CC, "private, max-age=60")]), Ok(()));
    }

    #[test]
    fn unsafe_ignore_gives_up_one_protection_each() {
        let with = |unsafe_ignore| Case { policy: Policy { unsafe_ignore, ..Policy::default() }, ..plain() };
        let none = UnsafeIgnore::default();
        assert_eq!(check(&with(UnsafeIgnore { private: true, ..none }), 200, &[(CC, "private")]), Ok(()));
        assert_eq!(check(&with(UnsafeIgnore { no_store: true, ..none }), 200, &[(CC, "no-store")]), Ok(()));
        assert_eq!(check(&with(UnsafeIgnore { set_cookie: true, ..none }), 200, &[("set-cookie", "a=b")]), Ok(()));
        let case = Case { request: fields(&[("authorization", "x")]), ..with(UnsafeIgnore { authorization: true, ..none }) };
        assert_eq!(check(&case, 200, &[(CC, "max-age=60")]), Ok(()));
    }

    #[test]
    fn rfc9111_4_3_3_only_a_full_answer_supersedes_what_is_stored() {
        let cases = [
            (Reason::NoStore, 200, true),
            (Reason::Private, 200, true),
            (Reason::TooLarge, 200, true),
            (Reason::Status, 402, true),
            (Reason::NoStore, 404, true),
            (Reason::Status, 500, false),
            (Reason::Status, 412, false),
            (Reason::Status, 429, false),
            (Reason::PartialContent, 206, false),
            (Reason::NotModified, 304, false),
            (Reason::Head, 200, false),
            (Reason::RequestNoStore, 200, false),
            (Reason::Authorization, 200, false),
            (Reason::UnkeyedField, 200, false),
        ];
        let request = |fields: &HeaderMap| RequestContext::new(&Method::GET, fields, &Policy::default(), false, false);
        let (anonymous, authorized) = (request(&HeaderMap::new()), request(&fields(&[("authorization", "Basic x")])));
        for (reason, status, expected) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(supersedes(&anonymous, reason, status), expected, "{reason} {status}");
            assert!(!supersedes(&authorized, reason, status), "an answer to credentials: {reason} {status}");
        }
    }

    #[test]
    fn a_refusal_of_one_request_replaces_nothing_and_marks_nothing() {
        let request = RequestContext::new(&Method::GET, &HeaderMap::new(), &Policy::default(), false, false);
        for status in [400, 401, 403, 405, 406, 408, 411, 413, 414, 415, 416, 417, 429, 431] {
            let status = StatusCode::from_u16(status).unwrap();
            for reason in [Reason::NoStore, Reason::Private, Reason::Status, Reason::NoLifetime, Reason::LifetimeZero, Reason::SetCookie] {
                assert!(!supersedes(&request, reason, status) && !worth_remembering(reason, status), "{reason} {status}");
            }
        }
        assert!(worth_remembering(Reason::NoStore, StatusCode::NOT_FOUND) && worth_remembering(Reason::NoStore, StatusCode::OK));
    }
}
