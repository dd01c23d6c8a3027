//! Lifetimes that begin anew with each use ([`TtlMode::Sliding`]).

use super::adjusted::with_lifetime;
use super::freshness::of_route;
use crate::head::stored::{LifetimeSource, StoredHead};
use crate::policy::{Policy, TtlMode};
use crate::time::Timestamp;

/// The part of a lifetime that a use has to add. An entry that is asked for all the time is not written anew for each request.
const STEPS: u32 = 10;

/// The head of a stored response that is used while it is fresh, where that makes it last longer: for the route's lifetime from now on, up to
/// the age of [`Policy::sliding_max`]. Only a lifetime of the route's own is extended; one that the origin names is its word.
pub fn extended(policy: &Policy, head: &StoredHead, now: Timestamp) -> Option<StoredHead> {
    if policy.ttl_mode != TtlMode::Sliding || head.lifetime.source != LifetimeSource::Route {
        return None;
    }
    let (ttl, age) = (of_route(policy, head.status)?, head.age(now));
    let most = policy.max_ttl.map_or(policy.sliding_max, |max| max.min(policy.sliding_max));
    let end = age.saturating_add(ttl).min(most);
    if head.staleness(now).is_some() || end < head.lifetime.seconds.saturating_add((ttl / STEPS).max(1)) {
        return None;
    }
    Some(with_lifetime(head, end))
}
