//! The freshness lifetime of a response (RFC 9111 §4.2.1, §4.2.2), by the origin's directives and the route's settings.

use http::header::{EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};

use crate::directives::ResponseDirectives;
use crate::head::stored::{FreshnessLifetime, LifetimeSource};
use crate::policy::{Policy, TtlMode};
use crate::time::Timestamp;

const NONE: FreshnessLifetime = FreshnessLifetime { seconds: 0, source: LifetimeSource::None };

/// The lifetime of a response with this status and these fields. `date` is `date_value` (§4.2.3).
pub fn lifetime(
    policy: &Policy,
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    date: Timestamp,
) -> FreshnessLifetime {
    let named = explicit(headers, directives, date);
    let own = of_route(policy, status).map(by_route);
    let usable = || own.filter(|own| own.seconds > 0);
    let heuristic = || heuristic(policy, status, headers, directives, date);
    let limit = policy.status_ttls.of(status).or((policy.ttl > 0).then_some(policy.ttl));
    let found = match policy.ttl_mode {
        TtlMode::Default | TtlMode::Sliding => named.or_else(usable).or_else(heuristic),
        // A limit holds for every status, also for those that the route gives no lifetime of its own.
        TtlMode::Cap => named.or_else(usable).or_else(heuristic).map(|lifetime| capped(lifetime, limit)),
        TtlMode::Override => own.or(named).or_else(heuristic),
    };
    capped(found.unwrap_or(NONE), policy.max_ttl)
}

fn by_route(seconds: u32) -> FreshnessLifetime {
    FreshnessLifetime { seconds, source: LifetimeSource::Route }
}

fn capped(lifetime: FreshnessLifetime, limit: Option<u32>) -> FreshnessLifetime {
    limit.filter(|limit| lifetime.seconds > *limit).map_or(lifetime, by_route)
}

/// The route's own lifetime for a status, in seconds: the one that is given for it, 0 included, or its `ttl` where that is meant for it.
pub(crate) fn of_route(policy: &Policy, status: StatusCode) -> Option<u32> {
    let usual = || (policy.ttl > 0 && route_ttl_applies(status)).then_some(policy.ttl);
    policy.status_ttls.of(status).or_else(usual)
}

/// Whether the route's lifetime counts instead of what the origin says of a response with this status.
pub(crate) fn is_overridden(policy: &Policy, status: StatusCode) -> bool {
    policy.ttl_mode == TtlMode::Override && of_route(policy, status).is_some()
}

/// The origin's lifetime, in the order of §4.2.1: `s-maxage` ("if the cache is shared"), `max-age`, `Expires` less `Date`.
/// With a targeted field, `Cache-Control` and `Expires` are ignored (RFC 9213 §2.2).
pub fn explicit(headers: &HeaderMap, directives: &ResponseDirectives, date: Timestamp) -> Option<FreshnessLifetime> {
    let source = |untargeted| if directives.targeted { LifetimeSource::Targeted } else { untargeted };
    if let Some(seconds) = directives.s_maxage {
        return Some(FreshnessLifetime { seconds, source: source(LifetimeSource::SMaxage) });
    }
    if let Some(seconds) = directives.max_age {
        return Some(FreshnessLifetime { seconds, source: source(LifetimeSource::MaxAge) });
    }
    if directives.targeted {
        return None;
    }
    // "When there is more than one value present for a given directive (e.g., two Expires header field lines [...]), either the first
    // occurrence should be used or the response should be considered stale" (§4.2.1): the first. "A cache recipient MUST interpret invalid
    // date formats, especially the value "0", as representing a time in the past" (§5.3).
    let expires = headers.get(EXPIRES)?;
    let seconds = Timestamp::parse_http_date(expires.as_bytes(), date).map_or(0, |expires| expires.seconds_since(date));
    Some(FreshnessLifetime { seconds, source: LifetimeSource::Expires })
}

/// 10 % of the age since `Last-Modified` (§4.2.2), at most the route's `heuristic_max`: "if the response has a Last-Modified header field,
/// caches are encouraged to use a heuristic expiration value that is no more than some fraction of the interval since that time".
/// "A cache MUST NOT use heuristics [...] when the status code is not heuristically cacheable and not marked public".
fn heuristic(
    policy: &Policy,
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    date: Timestamp,
) -> Option<FreshnessLifetime> {
    if policy.heuristic_max == 0 || !(heuristically_cacheable(status) || directives.public) {
        return None;
    }
    let modified = Timestamp::parse_http_date(headers.get(LAST_MODIFIED)?.as_bytes(), date)?;
    let seconds = (date.seconds_since(modified) / 10).min(policy.heuristic_max);
    Some(FreshnessLifetime { seconds, source: LifetimeSource::Heuristic })
}

/// The statuses "defined as heuristically cacheable" (RFC 9110 §15.1).
pub fn heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// The statuses that a route's `ttl` is meant for. Fewer than the heuristically cacheable ones: `ttl = "5m"` is not meant to keep a
/// "method not allowed" or "not implemented".
fn route_ttl_applies(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 410)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::policy::{StatusTtls, Statuses};

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const DATE: Timestamp = Timestamp::from_secs(784_111_777);

    fn of(policy: &Policy, status: u16, fields: &[(&'static str, &'static str)]) -> (u32, LifetimeSource) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let directives = ResponseDirectives::parse(&headers, &policy.targeted);
        let lifetime = lifetime(policy, StatusCode::from_u16(status).unwrap(), &headers, &directives, DATE);
        (lifetime.seconds, lifetime.source)
    }

    fn route(ttl: u32, ttl_mode: TtlMode) -> Policy {
        Policy { ttl, ttl_mode, ..Policy::default() }
    }

    const CC: &str = "cache-control";

    #[test]
    fn rfc9111_4_2_1_s_maxage_over_max_age_over_expires() {
        let policy = Policy::default();
        let expires = ("expires", "Sun, 06 Nov 1994 08:50:37 GMT");
        assert_eq!(of(&policy, 200, &[expires]), (60, LifetimeSource::Expires));
        assert_eq!(of(&policy, 200, &[expires, (CC, "max-age=5")]), (5, LifetimeSource::MaxAge));
        assert_eq!(of(&policy, 200, &[expires, (CC, "max-age=5, s-maxage=9")]), (9, LifetimeSource::SMaxage));
        let targeted = ("cdn-cache-control", "max-age=7");
        assert_eq!(of(&policy, 200, &[expires, (CC, "s-maxage=9"), targeted]), (7, LifetimeSource::Targeted));
    }

    #[test]
    fn rfc9111_5_3_expires_in_all_three_forms_and_invalid() {
        let policy = Policy::default();
        for date in ["Sun, 06 Nov 1994 08:50:37 GMT", "Sunday, 06-Nov-94 08:50:37 GMT", "Sun Nov  6 08:50:37 1994"] {
            assert_eq!(of(&policy, 200, &[("expires", date)]).0, 60, "{date}");
        }
        for date in ["0", "-1", "", "tomorrow", "Sun, 06 Nov 1994 08:50:37", "Sun, 06 Nov 1994 08:40:00 GMT"] {
            assert_eq!(of(&policy, 200, &[("expires", date), ("last-modified", "Sat, 05 Nov 1994 08:49:37 GMT")]).0, 0, "{date}");
        }
        let twice = [("expires", "Sun, 06 Nov 1994 08:50:37 GMT"), ("expires", "Sun, 06 Nov 1994 08:59:37 GMT")];
        assert_eq!(of(&policy, 200, &twice).0, 60);
    }

    #[test]
    fn rfc9111_4_2_2_heuristics_only_where_allowed() {
        let modified = ("last-modified", "Sun, 06 Nov 1994 08:33:07 GMT");
        let policy = Policy::default();
        assert_eq!(of(&policy, 200, &[modified]), (99, LifetimeSource::Heuristic));
        assert_eq!(of(&policy, 404, &[modified]), (99, LifetimeSource::Heuristic));
        assert_eq!(of(&policy, 302, &[modified]), (0, LifetimeSource::None));
        assert_eq!(of(&policy, 302, &[modified, (CC, "public")]), (99, LifetimeSource::Heuristic));
        assert_eq!(of(&policy, 200, &[modified, ("expires", "0")]), (0, LifetimeSource::Expires));
        assert_eq!(of(&policy, 200, &[("last-modified", "Sun, 06 Nov 1983 08:33:07 GMT")]), (300, LifetimeSource::Heuristic));
        assert_eq!(of(&Policy { heuristic_max: 0, ..policy }, 200, &[modified]), (0, LifetimeSource::None));
    }

    #[test]
    fn a_routes_ttl_meets_the_origins_as_its_mode_says() {
        let long = (CC, "max-age=600");
        let short = (CC, "max-age=5");
        let none = ("x-other", "1");
        let cases = [
            (TtlMode::Default, none, (60, LifetimeSource::Route)),
            (TtlMode::Default, long, (600, LifetimeSource::MaxAge)),
            (TtlMode::Default, ("expires", "0"), (0, LifetimeSource::Expires)),
            (TtlMode::Cap, none, (60, LifetimeSource::Route)),
            (TtlMode::Cap, long, (60, LifetimeSource::Route)),
            (TtlMode::Cap, short, (5, LifetimeSource::MaxAge)),
            (TtlMode::Override, none, (60, LifetimeSource::Route)),
            (TtlMode::Override, long, (60, LifetimeSource::Route)),
            (TtlMode::Override, short, (60, LifetimeSource::Route)),
        ];
        for (mode, field, expected) in cases {
            assert_eq!(of(&route(60, mode), 200, &[field]), expected, "{mode:?} {field:?}");
        }
    }

    #[test]
    fn a_cap_holds_for_every_status() {
        for status in [200, 302, 307, 403, 404, 500, 501, 503] {
            let capped = of(&route(60, TtlMode::Cap), status, &[(CC, "max-age=86400")]);
            assert_eq!(capped, (60, LifetimeSource::Route), "{status}");
            assert_eq!(of(&route(60, TtlMode::Cap), status, &[(CC, "max-age=5")]), (5, LifetimeSource::MaxAge), "{status}");
        }
        let modified = ("last-modified", "Thu, 06 Oct 1994 08:49:37 GMT");
        assert_eq!(of(&route(60, TtlMode::Cap), 405, &[modified]), (60, LifetimeSource::Route));
        assert_eq!(of(&route(0, TtlMode::Cap), 302, &[(CC, "max-age=86400")]), (86400, LifetimeSource::MaxAge));
    }

    #[test]
    fn a_status_has_the_lifetime_that_is_given_for_it_or_for_its_class() {
        let ttls = [(Statuses::One(StatusCode::NOT_FOUND), 10), (Statuses::Class(5), 1), (Statuses::Class(4), 7), (Statuses::Class(2), 50)];
        let given = |ttl_mode| {
            let status_ttls = ttls.iter().fold(StatusTtls::default(), |all, (statuses, seconds)| all.with(*statuses, *seconds));
            Policy { status_ttls, ..route(60, ttl_mode) }
        };
        let policy = given(TtlMode::Default);
        for (status, seconds) in [(200, 50), (203, 50), (301, 60), (302, 0), (404, 10), (410, 7), (500, 1), (503, 1)] {
            assert_eq!(of(&policy, status, &[]).0, seconds, "{status}");
        }
        // Any client can bring about the refusal of its own request.
        for status in [400, 401, 403, 405, 413, 429] {
            assert_eq!(of(&policy, status, &[]).0, 0, "{status}");
        }
        assert_eq!(of(&policy, 503, &[(CC, "max-age=5")]), (5, LifetimeSource::MaxAge), "the origin's own counts");
        assert_eq!(of(&given(TtlMode::Cap), 503, &[(CC, "max-age=5")]), (1, LifetimeSource::Route));
        assert_eq!(
            of(&given(TtlMode::Cap), 302, &[(CC, "max-age=500")]),
            (60, LifetimeSource::Route),
            "`ttl` limits what has none of its own"
        );
        assert_eq!(of(&given(TtlMode::Override), 404, &[(CC, "max-age=500")]), (10, LifetimeSource::Route));
    }

    #[test]
    fn no_lifetime_for_a_status_is_said_by_nothing() {
        let never =
            |ttl_mode| Policy { status_ttls: StatusTtls::default().with(Statuses::One(StatusCode::NOT_FOUND), 0), ..route(60, ttl_mode) };
        assert_eq!(of(&never(TtlMode::Default), 404, &[]).0, 0);
        assert_eq!(of(&never(TtlMode::Default), 404, &[(CC, "max-age=5")]).0, 5);
        assert_eq!(of(&never(TtlMode::Cap), 404, &[(CC, "max-age=5")]).0, 0);
        assert_eq!(of(&never(TtlMode::Override), 404, &[(CC, "max-age=5")]).0, 0);
    }

    #[test]
    fn no_lifetime_is_longer_than_the_longest_whoever_names_it() {
        let modified = ("last-modified", "Thu, 06 Oct 1994 08:49:37 GMT");
        for mode in [TtlMode::Default, TtlMode::Cap, TtlMode::Override, TtlMode::Sliding] {
            let policy = Policy { max_ttl: Some(30), ..route(60, mode) };
            for fields in [&[][..], &[(CC, "max-age=500")], &[(CC, "s-maxage=500")], &[modified]] {
                assert_eq!(of(&policy, 200, fields), (30, LifetimeSource::Route), "{mode:?} {fields:?}");
            }
        }
        let policy = Policy { max_ttl: Some(30), ..Policy::default() };
        assert_eq!(of(&policy, 200, &[(CC, "max-age=5")]), (5, LifetimeSource::MaxAge));
        assert_eq!(of(&policy, 200, &[]), (0, LifetimeSource::None));
    }

    #[test]
    fn a_routes_ttl_is_not_for_errors_or_temporary_redirects() {
        for status in [302, 307, 400, 401, 403, 405, 429, 500, 501, 503] {
            assert_eq!(of(&route(60, TtlMode::Override), status, &[]), (0, LifetimeSource::None), "{status}");
        }
        assert_eq!(of(&route(60, TtlMode::Override), 503, &[(CC, "max-age=5")]), (5, LifetimeSource::MaxAge));
    }
}
