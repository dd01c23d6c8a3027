//! `[[limits]]`: how much each client may have in a time.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use larder_limits::Algorithm;

/// `[[limits]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// For answers, metrics and the log; unique.
    pub name: Arc<str>,
    /// The routes that it holds for, by position; the one for everything else is behind the last.
    pub routes: Vec<usize>,
    /// What tells clients apart; never empty.
    pub key: Vec<LimitKey>,
    /// How usage is counted.
    pub algorithm: Algorithm,
    /// Units in the time `per`; at least 1.
    pub max: u64,
    /// At least a millisecond.
    pub per: Duration,
    /// Units that may be had at once, where the algorithm is a token bucket.
    pub burst: u64,
    /// What is counted.
    pub count: LimitCount,
    /// What happens to a request beyond it.
    pub over: LimitOver,
    /// How long a request waits at most before it is refused, where `over` is [`LimitOver::Delay`].
    pub max_delay: Duration,
    /// Whether replicas count together, in Redis.
    pub shared: bool,
    /// Units that a replica gets from Redis at a time, where it is shared.
    pub batch: u64,
    /// Whether answers have the fields `X-RateLimit-*` as well.
    pub legacy_fields: bool,
    /// Clients that are known at the same time.
    pub max_keys: usize,
}

/// A part of what tells clients apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitKey {
    /// The client's address, or its network of 64 bits for IPv6.
    Client,
    /// The route.
    Route,
    /// A field of the request.
    Header(HeaderName),
    /// A cookie.
    Cookie(String),
    /// A claim of a verified bearer token.
    Claim(String),
    /// A claim of a bearer token that nothing here has verified.
    UnverifiedClaim(String),
    /// A part of the path, by its name in the route's template.
    Path(String),
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitCount {
    /// Every request.
    Requests,
    /// Requests that the origin is asked for. Hits, and requests that use another's fetch, are free.
    Misses,
    /// Bytes of answers' bodies, which are counted once they are known.
    Bytes,
}

/// What happens to a request beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitOver {
    /// It is answered with 429.
    Reject,
    /// It is answered from the store, stale if need be; with 429 where nothing stored will do.
    Stale,
    /// It waits until it fits in.
    Delay,
    /// It is counted.
    Observe,
}

impl LimitCount {
    /// All of them, with their words.
    pub const ALL: [(&'static str, Self); 3] = [("requests", Self::Requests), ("misses", Self::Misses), ("bytes", Self::Bytes)];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, count)| *count == self).map_or("", |(word, _)| word)
    }
}

impl RateLimit {
    /// The rate.
    pub fn rate(&self) -> larder_limits::Rate {
        let per = u64::try_from(self.per.as_micros()).unwrap_or(u64::MAX);
        larder_limits::Rate { algorithm: self.algorithm, max: self.max, per, burst: self.burst }
    }
}
