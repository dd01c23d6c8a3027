//! Responses that are fetched again before they are stale, and lifetimes that do not end together.

use larder_semantics::reuse::ahead::{Use, is_due, spread};
use larder_semantics::{Policy, Timestamp};

use crate::support::{Cache, T0, after, fields, text};

const CC: &str = "cache-control";

fn ahead(part: u16) -> Policy {
    Policy::default().with(|policy| (policy.ttl, policy.refresh_ahead) = (60, Some(part)))
}

const FIRST: Use = Use { hits: 1, took: 0, random: 0 };

#[test]
fn a_use_behind_the_part_of_a_lifetime_begins_the_next_fetch() {
    let policy = ahead(800);
    let stored = Cache::with(policy.clone()).store(&[]);
    let millis = |millis| Timestamp::from_millis(T0.as_millis() + millis);
    assert!(!is_due(&policy, &stored, FIRST, millis(47_999)));
    assert!(is_due(&policy, &stored, FIRST, millis(48_000)));
    assert!(!is_due(&Policy::default(), &stored, FIRST, after(59)), "nobody asked for that");
    let named = Cache::with(policy.clone()).store(&[(CC, "max-age=100"), ("age", "70")]);
    assert!(!is_due(&policy, &named, FIRST, after(9)), "the lifetime that counts, and the whole age");
    assert!(is_due(&policy, &named, FIRST, after(10)));
}

#[test]
fn what_is_used_too_rarely_is_not_fetched_ahead() {
    let policy = ahead(800).with(|policy| policy.refresh_ahead_hits = 2);
    let stored = Cache::with(policy.clone()).store(&[]);
    assert!(!is_due(&policy, &stored, FIRST, after(59)));
    assert!(is_due(&policy, &stored, Use { hits: 2, ..FIRST }, after(59)));
}

#[test]
fn what_takes_long_to_fetch_is_fetched_sooner_and_each_at_a_time_of_its_own() {
    let policy = ahead(800).with(|policy| policy.refresh_jitter = true);
    let stored = Cache::with(policy.clone()).store(&[]);
    // -ln(1/e) is 1: sooner by just what it took.
    let random = (f64::from(u32::MAX) / std::f64::consts::E) as u32;
    let slow = Use { took: 8_000, random, ..FIRST };
    assert!(!is_due(&policy, &stored, slow, after(39)));
    assert!(is_due(&policy, &stored, slow, after(41)));
    assert!(!is_due(&policy, &stored, Use { took: 10, ..slow }, after(47)));
    assert!(!is_due(&policy, &stored, Use { random: u32::MAX, ..slow }, after(47)), "the logarithm of 1 is 0");
    assert!(!is_due(&ahead(800), &stored, slow, after(47)), "only with jitter");
}

#[test]
fn lifetimes_of_a_route_are_shorter_by_a_random_part() {
    let policy = ahead(800).with(|policy| policy.ttl_jitter = 100);
    let stored = Cache::with(policy.clone()).store(&[]);
    assert!(spread(&policy, &stored, 0).is_none());
    let shortest = spread(&policy, &stored, u32::MAX).expect("shorter");
    assert_eq!({ shortest.lifetime.seconds }, 54);
    assert_eq!(text(&fields(&shortest), CC).as_deref(), Some("max-age=54"), "clients are told the same");
    let lifetimes: std::collections::BTreeSet<u32> =
        (0..1_000_u32).filter_map(|n| spread(&policy, &stored, n << 22)).map(|head| head.lifetime.seconds).collect();
    assert_eq!(lifetimes, (54..60).collect());
    let named = Cache::with(policy.clone()).store(&[(CC, "max-age=60")]);
    assert!(spread(&policy, &named, u32::MAX).is_none(), "the origin's word");
    assert!(spread(&ahead(800), &stored, u32::MAX).is_none());
}
