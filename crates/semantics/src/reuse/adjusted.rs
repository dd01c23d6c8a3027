//! A stored response whose lifetime is the route's, with another one.

use http::HeaderValue;
use http::header::CACHE_CONTROL;

use crate::head::stored::StoredHead;
use crate::head::stored_fields::StoredFields;

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
