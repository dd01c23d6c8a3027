//! A stored response with another lifetime than its head had at first.

use http::HeaderValue;
use http::header::CACHE_CONTROL;

use crate::head::stored::{LifetimeSource, StoredHead};
use crate::head::stored_fields::StoredFields;
use crate::policy::{Policy, TtlMode};

/// The head of a response whose body names a lifetime of so many seconds: its origin's word, like a lifetime in its fields. Of both the shorter counts, and
/// the route's as its mode says. `None` where nothing changes.
pub fn hinted(policy: &Policy, head: &StoredHead, seconds: u32) -> Option<StoredHead> {
    let is_own = !matches!(head.lifetime.source, LifetimeSource::Route | LifetimeSource::Heuristic | LifetimeSource::None);
    let limit = policy.max_ttl.unwrap_or(u32::MAX);
    let seconds = match policy.ttl_mode {
        TtlMode::Override => return None,
        TtlMode::Cap => seconds.min(head.lifetime.seconds),
        TtlMode::Default | TtlMode::Sliding if is_own => seconds.min(head.lifetime.seconds),
        TtlMode::Default | TtlMode::Sliding => seconds.min(limit),
    };
    (seconds != head.lifetime.seconds).then(|| with_lifetime(head, seconds))
}

/// The head with a lifetime of so many seconds, which its `Cache-Control` tells clients too where it tells them the route's.
pub(super) fn with_lifetime(head: &StoredHead, seconds: u32) -> StoredHead {
    let mut adjusted = head.clone();
    adjusted.lifetime.seconds = seconds;
    let shown = head.headers.get(&CACHE_CONTROL).filter(|_| head.origin_control.is_some());
    if let Some(shown) = shown.and_then(|shown| with_max_age(&shown, seconds)) {
        let mut headers = head.headers.to_map();
        headers.insert(CACHE_CONTROL, shown);
        adjusted.headers = StoredFields::from(&headers);
    }
    adjusted
}

/// The value with another `max-age`, which stands last where the route's lifetime is shown.
fn with_max_age(shown: &HeaderValue, seconds: u32) -> Option<HeaderValue> {
    let (before, _) = shown.to_str().ok()?.rsplit_once("max-age=")?;
    HeaderValue::from_str(&format!("{before}max-age={seconds}")).ok()
}
