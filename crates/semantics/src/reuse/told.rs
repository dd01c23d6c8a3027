//! The lifetimes that an answer tells its recipients, where a route says them: clients in `Cache-Control`, and the next cache in a field for
//! caches alone (RFC 9213). They count from the answer on, whatever its age, so that a purge here reaches those behind for as long as is said.

use http::header::{CACHE_CONTROL, EXPIRES, PRAGMA};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::age::age_value;
use super::set_aside::is_set_aside;
use crate::directives::{Directive, Directives};
use crate::policy::{ClientTtl, Policy, Scope, TtlMode};

/// Fields by which caches between here and the client learn how long they may keep an answer.
pub const CDN_FIELDS: [HeaderName; 2] = [HeaderName::from_static("cdn-cache-control"), HeaderName::from_static("surrogate-control")];

/// The longest lifetime that a field can tell (RFC 9111 §1.2.2).
const MAX: u32 = 1 << 31;

/// Whether answers tell other lifetimes than the stored ones do.
pub fn tells_its_own(policy: &Policy) -> bool {
    matches!(policy.client_ttl, ClientTtl::Fixed(_)) || policy.cdn_ttl.is_some()
}

/// Writes the route's lifetimes into the fields of an answer that is stored, which have its `Age` already. One that is served `stale` is not to
/// be kept any longer by others.
pub fn tell(policy: &Policy, headers: &mut HeaderMap, stale: bool) {
    let age = age_value(headers);
    let left = |seconds| if stale { 0 } else { seconds };
    if let ClientTtl::Fixed(seconds) = policy.client_ttl {
        let seconds = left(seconds);
        let value = for_clients(policy, headers, seconds, age);
        headers.insert(CACHE_CONTROL, value);
        headers.remove(EXPIRES);
        headers.remove(PRAGMA);
    }
    if let Some(cdn) = &policy.cdn_ttl {
        for name in &CDN_FIELDS {
            headers.remove(name);
        }
        let value = HeaderValue::from_str(&lifetime(left(cdn.seconds), age)).unwrap_or(HeaderValue::from_static("no-cache"));
        headers.insert(cdn.field.clone(), value);
    }
}

/// The origin's directives with this lifetime in place of all others. A `no-cache` or `no-store` that counts here stays for clients too.
fn for_clients(policy: &Policy, headers: &HeaderMap, seconds: u32, age: u32) -> HeaderValue {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let mut push = |part: Vec<u8>| {
        if !parts.contains(&part) {
            parts.push(part);
        }
    };
    if policy.scope == Scope::Identity {
        push(b"private".to_vec());
    }
    for directive in headers.get_all(CACHE_CONTROL).iter().flat_map(|line| Directives::of_line(line.as_bytes())) {
        if directive.is("s-maxage") && seconds > 0 {
            push(b"proxy-revalidate".to_vec());
        } else if directive.well_formed && !is_replaced(policy, &directive, seconds) {
            push(directive.to_bytes());
        }
    }
    push(lifetime(seconds, age).into_bytes());
    HeaderValue::from_bytes(&parts.join(&b", "[..])).unwrap_or(HeaderValue::from_static("no-cache"))
}

fn is_replaced(policy: &Policy, directive: &Directive<'_>, seconds: u32) -> bool {
    const OF_LIFETIMES: [&str; 5] = ["max-age", "s-maxage", "immutable", "stale-while-revalidate", "stale-if-error"];
    let of_lifetimes = OF_LIFETIMES.iter().any(|name| directive.is(name));
    let of_scope = policy.scope == Scope::Identity && (directive.is("public") || directive.is("private"));
    let said_anyway = seconds == 0 && directive.is("no-cache") && directive.argument.is_none();
    of_lifetimes || of_scope || said_anyway || is_set_aside(policy, directive, policy.ttl_mode == TtlMode::Override)
}

/// From this answer on: what `Age` has counted already comes on top.
fn lifetime(seconds: u32, age: u32) -> String {
    match seconds {
        0 => "no-cache".to_owned(),
        seconds => format!("max-age={}", seconds.saturating_add(age).min(MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{CdnTtl, UnsafeIgnore};

    fn told(policy: &Policy, fields: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let mut headers: HeaderMap =
            fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        tell(policy, &mut headers, false);
        let text = |(name, value): (&HeaderName, &HeaderValue)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned());
        headers.iter().filter(|(name, _)| **name != "age").map(text).collect()
    }

    fn cache_control(policy: &Policy, fields: &[(&'static str, &'static str)]) -> String {
        let told = told(policy, fields);
        let [(name, value)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(name, "cache-control");
        value.clone()
    }

    fn clients(seconds: u32) -> Policy {
        Policy { client_ttl: ClientTtl::Fixed(seconds), ..Policy::default() }
    }

    const CC: &str = "cache-control";

    #[test]
    fn a_client_counts_its_lifetime_from_the_answer_on() {
        assert_eq!(cache_control(&clients(30), &[(CC, "max-age=600"), ("age", "200")]), "max-age=230");
        assert_eq!(cache_control(&clients(30), &[("expires", "0"), ("pragma", "no-cache")]), "max-age=30");
        assert_eq!(cache_control(&clients(u32::MAX), &[("age", "7")]), "max-age=2147483648");
    }

    #[test]
    fn other_directives_stay_and_those_of_lifetimes_go() {
        let origin = "public, max-age=600, no-transform, immutable, stale-while-revalidate=60, must-revalidate, x-own=\"1\"";
        assert_eq!(cache_control(&clients(30), &[(CC, origin)]), "public, no-transform, must-revalidate, x-own=1, max-age=30");
        assert_eq!(cache_control(&clients(0), &[(CC, "max-age=600, no-transform")]), "no-transform, no-cache");
        assert_eq!(cache_control(&clients(30), &[(CC, "s-maxage=9")]), "proxy-revalidate, max-age=30");
        assert_eq!(cache_control(&clients(0), &[(CC, "s-maxage=9, no-cache")]), "no-cache");
    }

    #[test]
    fn what_forbids_stays_unless_the_route_sets_it_aside() {
        let spring = [(CC, "no-cache, no-store, max-age=0, must-revalidate")];
        assert_eq!(cache_control(&clients(30), &spring), "no-cache, no-store, must-revalidate, max-age=30");
        let ignores = UnsafeIgnore { no_store: true, ..UnsafeIgnore::default() };
        let full = Policy { ttl_mode: TtlMode::Override, unsafe_ignore: ignores, ..clients(30) };
        assert_eq!(cache_control(&full, &spring), "max-age=30");
    }

    #[test]
    fn what_is_stale_is_not_to_be_kept() {
        let cdn_ttl = Some(CdnTtl { seconds: 90, field: CDN_FIELDS[0].clone() });
        let mut headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("max-age=5, s-maxage=9"))]);
        tell(&Policy { cdn_ttl, ..clients(30) }, &mut headers, true);
        assert_eq!([CACHE_CONTROL, CDN_FIELDS[0].clone()].map(|name| headers[name].clone()), ["no-cache", "no-cache"]);
    }

    #[test]
    fn an_identitys_answer_is_told_to_be_private() {
        let policy = Policy { scope: Scope::Identity, ..clients(30) };
        assert_eq!(cache_control(&policy, &[(CC, "public, max-age=600")]), "private, max-age=30");
    }

    #[test]
    fn rfc9213_the_next_cache_has_its_own_lifetime_in_one_field() {
        let [cdn, surrogate] = CDN_FIELDS;
        let policy = |field, seconds| Policy { cdn_ttl: Some(CdnTtl { seconds, field }), ..Policy::default() };
        let origin = [(CC, "max-age=5"), ("cdn-cache-control", "max-age=9"), ("age", "100")];
        let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(told(&policy(cdn.clone(), 600), &origin), [line(CC, "max-age=5"), line("cdn-cache-control", "max-age=700")]);
        assert_eq!(told(&policy(surrogate, 600), &origin), [line(CC, "max-age=5"), line("surrogate-control", "max-age=700")]);
        assert_eq!(told(&policy(cdn, 0), &[]), [line("cdn-cache-control", "no-cache")]);
    }
}
