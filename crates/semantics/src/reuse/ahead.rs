//! Responses that are fetched again before they are stale, and lifetimes that do not end together.

use super::adjusted::with_lifetime;
use crate::head::stored::{LifetimeSource, StoredHead};
use crate::policy::Policy;
use crate::time::Timestamp;

/// What is known of a stored response besides its head.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// How many requests it has answered since it was stored, this one among them.
    pub hits: u8,
    /// How long its fetch took, in milliseconds.
    pub took: u64,
    /// A random number that is the response's own.
    pub random: u32,
}

/// Whether a use of a fresh response is to begin its next fetch in the background: after [`Policy::refresh_ahead`] of its lifetime. With
/// [`Policy::refresh_jitter`] sooner by the rule of XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention,
/// 2015): by the time that the fetch took, times the negative logarithm of a random number between 0 and 1. The number is the response's own
/// and not the request's, so that it is the same for all requests and replicas.
pub fn is_due(policy: &Policy, head: &StoredHead, stored: Use, now: Timestamp) -> bool {
    due_in(policy, head, stored, now) == Some(0)
}

/// Milliseconds after which a use is to begin the next fetch ([`is_due`]), if it is as this one; `None`: none is to, or it was not used enough.
pub fn due_in(policy: &Policy, head: &StoredHead, stored: Use, now: Timestamp) -> Option<u64> {
    let after = policy.refresh_ahead.filter(|_| stored.hits >= policy.refresh_ahead_hits)?;
    let point = u64::from(head.lifetime.seconds) * u64::from(after);
    let resident = now.as_millis().saturating_sub(head.response_time.as_millis());
    let age = u64::from(head.initial_age) * 1_000 + resident;
    Some(point.saturating_sub(age + if policy.refresh_jitter { sooner(stored) } else { 0 }))
}

/// Milliseconds by which a response is fetched sooner.
fn sooner(Use { took, random, .. }: Use) -> u64 {
    let fraction = (f64::from(random) + 1.0) / (f64::from(u32::MAX) + 1.0);
    (took as f64 * -fraction.ln()) as u64
}

/// The head of a response with a lifetime of the route's, shorter by a random part of [`Policy::ttl_jitter`] of it at most; `None` where it
/// stays as it is. A lifetime that the origin names is its word.
pub fn spread(policy: &Policy, head: &StoredHead, random: u32) -> Option<StoredHead> {
    let most = u64::from(head.lifetime.seconds) * u64::from(policy.ttl_jitter) / 1_000;
    let less = ((most + 1) * u64::from(random)) >> 32;
    if less == 0 || head.lifetime.source != LifetimeSource::Route {
        return None;
    }
    let seconds = head.lifetime.seconds.saturating_sub(u32::try_from(less).unwrap_or(u32::MAX)).max(1);
    Some(with_lifetime(head, seconds))
}
