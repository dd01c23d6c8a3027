//! The lifetimes that an answer tells its recipients, where a route says them: clients in `Cache-Control`, and the next cache in a field for
//! caches alone (RFC 9213). They count from the answer on, whatever its age, so that a purge here reaches those behind for as long as is said.

use http::header::{CACHE_CONTROL, EXPIRES, PRAGMA};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::age::age_value;
use super::set_aside::is_set_aside;
use crate::directives::{Directive, Directives, ResponseDirectives};
use crate::head::fields::is_for_one_client;
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
    // Before the origin's directives give way to those for clients.
    let for_cdn = policy.cdn_ttl.as_ref().map(|cdn| (cdn.field.clone(), for_caches(policy, headers, left(cdn.seconds), age)));
    if let ClientTtl::Fixed(seconds) = policy.client_ttl {
        let seconds = left(seconds);
        let value = for_clients(policy, headers, seconds, age);
        headers.insert(CACHE_CONTROL, value);
        headers.remove(EXPIRES);
        headers.remove(PRAGMA);
    }
    if let Some((field, value)) = for_cdn {
        for name in &CDN_FIELDS {
            headers.remove(name);
        }
        headers.insert(field, value);
    }
}

/// The lifetime for the next cache, with what the origin forbids: a cache that knows the field ignores `Cache-Control` (RFC 9213 §2.2). It cannot
/// tell identities apart, and an answer may have fields for its client alone beside what is stored: neither is kept there.
fn for_caches(policy: &Policy, headers: &HeaderMap, seconds: u32, age: u32) -> HeaderValue {
    let ignored = policy.unsafe_ignore;
    let overridden = policy.ttl_mode == TtlMode::Override;
    let origin =
        ResponseDirectives::parse(headers, &policy.targeted).set_aside(overridden, overridden || ignored.no_cache, ignored.no_store);
    let no_store = origin.no_store && !ignored.no_store;
    let is_private = policy.scope == Scope::Identity || (origin.private.whole() && !ignored.private) || has_own_fields(headers, &origin);
    if is_private || (no_store && !origin.must_understand) {
        return HeaderValue::from_static("no-store");
    }
    if seconds == 0 || origin.no_cache.whole() {
        return HeaderValue::from_static("no-cache");
    }
    let revalidates = if origin.must_revalidate { "must-revalidate, " } else { "proxy-revalidate, " };
    let parts = [
        if no_store { "must-understand, no-store, " } else { "" },
        if origin.forbids_stale() { revalidates } else { "" },
        &lifetime(seconds, age),
    ];
    HeaderValue::from_str(&parts.concat()).unwrap_or(HeaderValue::from_static("no-cache"))
}

/// Whether there are fields in an answer that others do not get: those of its client's own exchange.
fn has_own_fields(headers: &HeaderMap, origin: &ResponseDirectives) -> bool {
    let named = |name| origin.private.fields().contains(name) || origin.no_cache.fields().contains(name);
    headers.keys().any(|name| is_for_one_client(name) || named(name))
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

    fn cdn(policy: Policy, fields: &[(&'static str, &'static str)]) -> String {
        let policy = Policy { cdn_ttl: Some(CdnTtl { seconds: 600, field: CDN_FIELDS[0].clone() }), ..policy };
        told(&policy, fields).into_iter().find(|(name, _)| name == "cdn-cache-control").expect("told").1
    }

    #[test]
    fn rfc9213_2_2_the_next_cache_is_told_what_the_origin_forbids() {
        let plain = |value| cdn(Policy::default(), &[(CC, value)]);
        assert_eq!(plain("public, max-age=5, stale-if-error=9"), "max-age=600");
        assert_eq!(plain("no-cache"), "no-cache");
        assert_eq!(plain("max-age=5, must-revalidate, proxy-revalidate"), "must-revalidate, max-age=600");
        assert_eq!(plain("s-maxage=5"), "proxy-revalidate, max-age=600");
        assert_eq!(plain("must-understand, no-store, max-age=5"), "must-understand, no-store, max-age=600");
        assert_eq!(plain("no-store"), "no-store");
        assert_eq!(plain("private"), "no-store");
        let both = [(CC, "no-cache"), ("cdn-cache-control", "max-age=9, must-revalidate")];
        let targeted = Policy { targeted: vec![CDN_FIELDS[0].clone()], ..Policy::default() };
        assert_eq!(cdn(targeted, &both), "must-revalidate, max-age=600");
        assert_eq!(cdn(clients(30), &[(CC, "no-cache")]), "no-cache");
    }

    #[test]
    fn the_next_cache_is_not_told_what_the_route_sets_aside() {
        let ignores = UnsafeIgnore { no_cache: true, no_store: true, private: true, ..UnsafeIgnore::default() };
        assert_eq!(cdn(Policy { unsafe_ignore: ignores, ..Policy::default() }, &[(CC, "no-cache, no-store, private")]), "max-age=600");
        assert_eq!(cdn(Policy { ttl_mode: TtlMode::Override, ..Policy::default() }, &[(CC, "no-cache, must-revalidate")]), "max-age=600");
    }

    #[test]
    fn what_is_for_one_client_is_not_kept_by_the_next_cache() {
        let identity = Policy { scope: Scope::Identity, ..Policy::default() };
        assert_eq!(cdn(identity, &[(CC, "max-age=60")]), "no-store");
        for qualified in ["private=\"x-user\"", "no-cache=\"x-user\""] {
            assert_eq!(cdn(Policy::default(), &[(CC, qualified), ("x-user", "1")]), "no-store", "{qualified}");
            assert_eq!(cdn(Policy::default(), &[(CC, qualified)]), "max-age=600", "{qualified}: from the store it has none");
        }
        assert_eq!(cdn(Policy::default(), &[(CC, "public, max-age=60"), ("set-cookie", "a=1")]), "no-store");
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
