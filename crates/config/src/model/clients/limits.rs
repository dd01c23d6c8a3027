//! `[[limits]]`: how much each client may have in a time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use serde::{Deserialize, Serialize};

use larder_limits::Algorithm;

use super::QuotaPart;
use crate::model::{Price, Prices};

/// One of `[[limits]]`, or a limit of one of `[[quotas]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    /// For answers, metrics and the log; unique. Of a quota it has count and period behind the quota's: `llm.tokens.day`.
    pub name: Arc<str>,
    /// Where it is a limit of a quota: then its window is one of the calendar.
    pub quota: Option<QuotaPart>,
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
    /// Tokens that models have counted for answers of the origin, once they are known.
    Tokens,
    /// What those tokens cost, in billionths of whatever currency prices are in.
    Cost,
}

/// So much of what a limit counts, as people count it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// Requests, bytes, tokens.
    Units(u64),
    /// A sum of money.
    Sum(f64),
}

impl Amount {
    /// As a number of any kind.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Units(units) => units as f64,
            Self::Sum(sum) => sum,
        }
    }
}

impl Default for Amount {
    fn default() -> Self {
        Self::Units(0)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Units(units) => units.fmt(f),
            Self::Sum(sum) => write!(f, "{}", (sum * 1e6).round() / 1e6),
        }
    }
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
    pub const ALL: [(&'static str, Self); 5] =
        [("requests", Self::Requests), ("misses", Self::Misses), ("bytes", Self::Bytes), ("tokens", Self::Tokens), ("cost", Self::Cost)];

    /// Units of one of what people count: a cost is counted in billionths.
    pub const COST_UNITS: u64 = 1_000_000_000;

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, count)| *count == self).map_or("", |(word, _)| word)
    }
}

impl LimitCount {
    /// Units as people count them: a cost in the currency of the prices.
    pub fn as_people_count(self, units: u64) -> Amount {
        match self {
            Self::Cost => Amount::Sum(units as f64 / Self::COST_UNITS as f64),
            _ => Amount::Units(units),
        }
    }

    /// Whether hits, and requests that share a fetch, are free: then the limit is asked when the origin is about to be.
    pub fn is_of_origin(self) -> bool {
        matches!(self, Self::Misses | Self::Tokens | Self::Cost)
    }

    /// Whether the units of a request are known only when it has been answered.
    pub fn is_known_afterwards(self) -> bool {
        matches!(self, Self::Bytes | Self::Tokens | Self::Cost)
    }

    /// Whether the units are read from answers of models.
    pub fn is_of_models(self) -> bool {
        matches!(self, Self::Tokens | Self::Cost)
    }
}

impl RateLimit {
    /// The units of an answer of a model with so many tokens of the request and of the answer; `None`: this limit does not count them, or nothing
    /// says what they cost.
    pub fn units_of_tokens(&self, prices: &Prices, model: Option<&str>, input: u64, output: u64) -> Option<u64> {
        match self.count {
            LimitCount::Tokens => Some(input.saturating_add(output)),
            LimitCount::Cost => {
                let own = self.quota.as_ref().and_then(|quota| quota.price.as_ref());
                let price: &Price = model.and_then(|model| prices.of(model)).or(own)?;
                // Rounded up, so that many small answers are not free. A cast of a float saturates.
                Some((price.of_tokens(input, output) * LimitCount::COST_UNITS as f64).ceil() as u64)
            }
            LimitCount::Requests | LimitCount::Misses | LimitCount::Bytes => None,
        }
    }

    /// The rate.
    pub fn rate(&self) -> larder_limits::Rate {
        let per = u64::try_from(self.per.as_micros()).unwrap_or(u64::MAX);
        larder_limits::Rate { algorithm: self.algorithm, max: self.max, per, burst: self.burst }
    }
}
