//! Making a [`StoredHead`] of the fields of a response: what is kept, in how little memory, and everything later decisions need.

use http::header::{AGE, CACHE_CONTROL, CONTENT_LENGTH, COOKIE, DATE, EXPIRES, LAST_MODIFIED, PRAGMA, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::directives::{Directives, ResponseDirectives};
use crate::head::fields::{CACHE_STATUS, X_CACHE, written_anew};
use crate::head::stored::{FreshnessLifetime, HeadFlags, LifetimeSource, OriginControl, StoredHead};
use crate::head::stored_fields::{Line, StoredFields};
use crate::policy::{ClientTtl, CookiePolicy, Policy};
use crate::request::RequestContext;
use crate::reuse::age::{corrected_initial_age, sent_date};
use crate::reuse::freshness::{explicit, is_overridden, lifetime};
use crate::reuse::set_aside::is_set_aside;
use crate::storing::withheld::Withheld;
use crate::time::Timestamp;

/// The value in the slot of a field that every answer writes.
const EMPTY: HeaderValue = HeaderValue::from_static("");

/// The parts that a head is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) request: &'a RequestContext,
    pub(crate) request_time: Timestamp,
    pub(crate) response_time: Timestamp,
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) directives: &'a ResponseDirectives,
}

/// The head to store.
pub(crate) fn assemble(parts: &Parts<'_>) -> StoredHead {
    let Parts { policy, headers, directives, .. } = *parts;
    let sent = sent_date(headers, parts.response_time);
    let date = sent.unwrap_or(parts.response_time);
    let lifetime = lifetime(policy, parts.status, headers, directives, date);
    let overridden = is_overridden(policy, parts.status);
    // With a targeted field, Cache-Control and Expires are addressed to others than this cache, and stay theirs.
    let shows_route = lifetime.source == LifetimeSource::Route && !directives.targeted && policy.client_ttl != ClientTtl::Origin;
    let origin_control = shows_route
        .then(|| Box::new(OriginControl { cache_control: joined(headers, &CACHE_CONTROL), expires: headers.get(EXPIRES).map(copy) }));

    let mut lines = kept_lines(parts, shows_route, overridden);
    let readable = headers.get(DATE).filter(|_| sent.is_some()).cloned();
    lines.push((DATE, readable.unwrap_or_else(|| parts.response_time.to_http_date())));
    if shows_route {
        lines.push((CACHE_CONTROL, shown_cache_control(parts, lifetime, overridden)));
    }
    lines.push((AGE, EMPTY));
    lines.push((X_CACHE, EMPTY));
    lines.push((CACHE_STATUS, joined(headers, &CACHE_STATUS).unwrap_or(EMPTY)));
    let headers = StoredFields::alone(lines);

    StoredHead {
        status: parts.status,
        response_time: parts.response_time,
        initial_age: corrected_initial_age(parts.headers, date, parts.request_time, parts.response_time),
        lifetime,
        // The route's window follows a lifetime; without one it would keep a response that is not said to be cacheable.
        stale_while_revalidate: directives.stale_while_revalidate.unwrap_or(if lifetime.seconds > 0 {
            policy.stale_while_revalidate
        } else {
            0
        }),
        stale_if_error: directives.stale_if_error.unwrap_or(policy.stale_if_error),
        flags: HeadFlags::default()
            .with(HeadFlags::NO_CACHE, directives.no_cache.whole() || (!overridden && forbidden_by_pragma(parts, lifetime.source)))
            .with(HeadFlags::MUST_REVALIDATE, directives.forbids_stale())
            .with(HeadFlags::IMMUTABLE, directives.immutable)
            .with(HeadFlags::FOR_AUTHORIZED, directives.allows_authorization() || policy.unsafe_ignore.authorization)
            .with(HeadFlags::FOR_COOKIES, is_for_cookies(parts, date))
            .with(HeadFlags::MODIFICATION_DATED, is_modification_dated(&headers, date)),
        date_seconds: date.as_secs(),
        origin_control,
        headers,
    }
}

/// Whether a response says `Pragma: no-cache` and nothing else of caching. Its "meaning was never specified" (§5.4), and a response with
/// `Cache-Control` or a lifetime of the origin's is not touched by it. But an origin that writes it alone means that what only the operator, or
/// a guess, gives a lifetime is not to be reused without asking.
fn forbidden_by_pragma(parts: &Parts<'_>, source: LifetimeSource) -> bool {
    let Parts { policy, headers, directives, .. } = *parts;
    let says_no_cache = || {
        let pragma = headers.get_all(PRAGMA).iter();
        pragma.flat_map(|line| Directives::of_line(line.as_bytes())).any(|directive| directive.is("no-cache"))
    };
    let is_named = directives.targeted || headers.contains_key(CACHE_CONTROL);
    let is_given = matches!(source, LifetimeSource::Route | LifetimeSource::Heuristic);
    is_given && !is_named && !policy.unsafe_ignore.pragma && says_no_cache()
}

/// Whether the response may answer requests with cookies that the key knows nothing of. The origin knows what it makes its responses of: where it
/// names a lifetime, or says that a shared cache may keep them in spite of credentials (§3.5), they are for everyone; where it selects by
/// `Cookie`, for everyone with the same ones (§4.1). A lifetime that only the operator names says nothing about that.
fn is_for_cookies(parts: &Parts<'_>, date: Timestamp) -> bool {
    let Parts { policy, headers, directives, .. } = *parts;
    let selects_by_cookies = || {
        let mut names = headers.get_all(VARY).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
        names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"cookie")) && !policy.ignore_vary.contains(&COOKIE)
    };
    let named = || explicit(headers, directives, date).is_some_and(|lifetime| lifetime.seconds > 0);
    let said = directives.allows_authorization() || directives.targeted;
    policy.cookies != CookiePolicy::Pass && (said || named() || selects_by_cookies())
}

/// The fields as received less those that others do not get ([`Withheld`]), and those that [`assemble`] writes itself.
fn kept_lines(parts: &Parts<'_>, rewritten: bool, overridden: bool) -> Vec<Line> {
    let Parts { policy, headers, directives, .. } = *parts;
    let withheld = Withheld::named_by(directives, parts.request, headers);
    let mut lines = Vec::with_capacity(headers.len() + 5);
    let mut has_length = parts.status == StatusCode::NO_CONTENT;
    for (name, value) in headers {
        let own = *name == DATE
            || written_anew(name)
            || (rewritten && (*name == CACHE_CONTROL || *name == EXPIRES || (overridden && *name == PRAGMA)));
        // "A server MUST NOT send a Content-Length header field in any response with a status code of [...] 204", and where a message came
        // with several that are alike they are one (RFC 9110 §8.6).
        let repeated = *name == CONTENT_LENGTH && std::mem::replace(&mut has_length, true);
        if !own && !repeated && !withheld.contains(policy, name) {
            lines.push((name.clone(), value.clone()));
        }
    }
    lines
}

fn is_modification_dated(headers: &StoredFields, date: Timestamp) -> bool {
    headers.get(&LAST_MODIFIED).is_some_and(|value| Timestamp::parse_http_date(value.as_bytes(), date).is_some())
}

/// A value that keeps no read buffer alive.
fn copy(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}

/// All lines of a list field in one.
pub(crate) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    let mut text = first.as_bytes().to_vec();
    for line in lines {
        text.extend_from_slice(b", ");
        text.extend_from_slice(line.as_bytes());
    }
    HeaderValue::from_bytes(&text).ok()
}

/// The origin's directives with the route's lifetime in place of the origin's. `s-maxage` goes too, and leaves the `proxy-revalidate` that
/// it implies; for an identity's response `public` gives way to `private`. What does not count here is not told either.
fn shown_cache_control(parts: &Parts<'_>, lifetime: FreshnessLifetime, overridden: bool) -> HeaderValue {
    let (headers, identified) = (parts.headers, parts.request.identified);
    let mut text = Vec::new();
    let mut push = |part: &[u8]| {
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(part);
    };
    if identified {
        push(b"private");
    }
    for directive in headers.get_all(CACHE_CONTROL).iter().flat_map(|line| Directives::of_line(line.as_bytes())) {
        let replaced = directive.is("max-age") || (identified && (directive.is("public") || directive.is("private")));
        let does_not_count = is_set_aside(parts.policy, &directive, overridden);
        if directive.is("s-maxage") && !overridden {
            push(b"proxy-revalidate");
        } else if !replaced && !does_not_count && directive.well_formed && !directive.is("s-maxage") {
            push(&directive.to_bytes());
        }
    }
    push(format!("max-age={}", { lifetime.seconds }).as_bytes());
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("max-age=0"))
}
