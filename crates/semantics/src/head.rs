//! The head of a stored response with everything a later decision needs, computed once at storage.

use http::{HeaderMap, HeaderValue, StatusCode};

use crate::time::Timestamp;

/// The head of a stored response. Hop-by-hop and private fields are already gone; `Age`, `Cache-Status` and `X-Cache` have slots
/// (with empty values) so that setting them on a clone does not grow the map.
#[derive(Clone, Debug)]
pub struct StoredHead {
    /// The status.
    pub status: StatusCode,
    /// The fields as they are served.
    pub headers: HeaderMap,
    /// When the response arrived: `response_time` (RFC 9111 §4.2.3).
    pub response_time: Timestamp,
    /// `corrected_initial_age` in seconds (§4.2.3).
    pub initial_age: u32,
    /// How long it is fresh, and who said so (§4.2.1).
    pub lifetime: FreshnessLifetime,
    /// Seconds past the lifetime within which it may be served stale while one refresh runs (RFC 5861 §3).
    pub stale_while_revalidate: u32,
    /// Seconds past the lifetime within which it may be served instead of an error (RFC 5861 §4).
    pub stale_if_error: u32,
    /// Never served without validation (`no-cache`, §5.2.2.4).
    pub no_cache: bool,
    /// Never served stale (`must-revalidate`, `proxy-revalidate`, `s-maxage`; §5.2.2).
    pub must_revalidate: bool,
    /// What a conditional request can name (§4.3.1).
    pub validators: Validators,
    /// `Date`, or when it arrived: picks the most recent of several matches (§4.1).
    pub date: Timestamp,
}

impl StoredHead {
    /// `current_age` in seconds (§4.2.3).
    pub fn age(&self, now: Timestamp) -> u32 {
        self.initial_age.saturating_add(now.seconds_since(self.response_time)).min(1 << 31)
    }

    /// Bytes of memory it holds.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum::<usize>()
    }

    /// Seconds of freshness left; negative when stale (the `ttl` of RFC 9211 §2.4).
    pub fn ttl(&self, now: Timestamp) -> i64 {
        i64::from(self.lifetime.seconds) - i64::from(self.age(now))
    }
}

/// A freshness lifetime and where it came from (RFC 9111 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshnessLifetime {
    /// Seconds.
    pub seconds: u32,
    /// Who named it.
    pub source: LifetimeSource,
}

/// Who named a lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifetimeSource {
    /// A targeted field (RFC 9213).
    Targeted,
    /// `s-maxage`.
    SMaxage,
    /// `max-age`.
    MaxAge,
    /// `Expires` less `Date`.
    Expires,
    /// 10 % of the age since `Last-Modified` (§4.2.2).
    Heuristic,
    /// The route's `ttl`.
    Route,
    /// Nobody: stale from the start.
    None,
}

/// The validators of a stored response (RFC 9110 §8.8).
#[derive(Clone, Debug, Default)]
pub struct Validators {
    /// `ETag` as sent.
    pub etag: Option<HeaderValue>,
    /// `Last-Modified` as sent.
    pub last_modified: Option<HeaderValue>,
}

impl Validators {
    /// Whether there is anything to validate with.
    pub fn any(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }
}
