//! Lifetimes by route: how often answers changed, against how often they were asked for.
//!
//! For each of some lifetimes every key is followed as if it had that lifetime and room enough: when it would have been fetched, and how often it would
//! have been served although the origin had another answer by then. So nothing is assumed of how requests and changes are spread over time.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use serde::Serialize;

use crate::bounded::{Bounded, hash};
use crate::decision::Decision;
use crate::log::LogRecord;
use crate::report::ratio;

/// The lifetimes that are tried, in seconds.
const LIFETIMES: [u32; 9] = [5, 15, 60, 300, 900, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600];

/// Keys that are followed.
const MAX_KEYS: usize = 100_000;

/// The share of requests that may be answered with what the origin would not say any more, in a lifetime that is advised.
const MAX_STALE: f64 = 0.01;

/// What tells that an answer has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Only its size: another answer of the same size is not noticed.
    Size,
    /// `Last-Modified`.
    LastModified,
    /// `ETag`.
    EntityTag,
}

/// A lifetime, and what it would have brought.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Lifetime {
    /// In seconds.
    pub seconds: u32,
    /// The share of requests that would have been hits.
    pub hit_ratio: f64,
    /// The share of requests that would have been answered with what the origin would not have said any more.
    pub stale_ratio: f64,
}

/// What is known of a route's answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// The route.
    pub route: String,
    /// Requests that were followed.
    pub requests: u64,
    /// Times that an answer was another one than the last time.
    pub changes: u64,
    /// The weakest evidence that this is said by.
    pub evidence: Evidence,
    /// The longest lifetime of those that risk little; `None` where each of them does.
    pub advised: Option<Lifetime>,
    /// All that were tried.
    pub tried: Vec<Lifetime>,
}

/// A key that is followed.
#[derive(Debug)]
struct Followed {
    answer: u32,
    /// By lifetime: when it would have been fetched last, in seconds, and the answer then.
    fetched: [(u32, u32); LIFETIMES.len()],
}

#[derive(Debug, Default)]
struct RouteCounts {
    requests: u64,
    changes: u64,
    evidence: Option<Evidence>,
    hits: [u64; LIFETIMES.len()],
    stale: [u64; LIFETIMES.len()],
}

/// Follows the keys of a log.
#[derive(Debug)]
pub struct Advisor {
    names: Vec<Arc<str>>,
    routes: Vec<RouteCounts>,
    keys: Bounded<Followed>,
}

impl Advisor {
    /// For the routes with these names.
    pub fn new(names: Vec<Arc<str>>) -> Self {
        let routes = names.iter().map(|_| RouteCounts::default()).collect();
        Self { names, routes, keys: Bounded::new(MAX_KEYS) }
    }

    /// Looks at a record. Only answers that a cache could have used say something.
    pub fn add(&mut self, record: &LogRecord, decision: &Decision) {
        let Some(counts) = decision.route.and_then(|route| self.routes.get_mut(route)) else { return };
        let Some(url) = decision.url.as_deref().filter(|_| record.method == Method::GET) else { return };
        let seen = match record.status {
            StatusCode::OK => Some(evidence(record)),
            // The client has what the origin has.
            StatusCode::NOT_MODIFIED => None,
            _ => return,
        };
        let now = record.time.as_secs();
        let key = hash(&[&decision.route.unwrap_or_default().to_le_bytes(), url.as_bytes()]);
        let Some(followed) = self.keys.get(key) else {
            if let Some((evidence, answer)) = seen {
                counts.requests += 1;
                counts.saw(evidence);
                self.keys.put(key, Followed { answer, fetched: [(now, answer); LIFETIMES.len()] });
            }
            return;
        };
        counts.requests += 1;
        if let Some((evidence, answer)) = seen {
            counts.saw(evidence);
            counts.changes += u64::from(answer != followed.answer);
            followed.answer = answer;
        }
        for (index, (lifetime, (at, answer))) in LIFETIMES.iter().zip(&mut followed.fetched).enumerate() {
            if now.saturating_sub(*at) < *lifetime {
                counts.hits[index] += 1;
                counts.stale[index] += u64::from(*answer != followed.answer);
            } else {
                (*at, *answer) = (now, followed.answer);
            }
        }
    }

    /// What follows, by route; nothing of routes of which nothing was seen.
    pub fn advice(&self) -> Vec<Advice> {
        let of_route = |(name, counts): (&Arc<str>, &RouteCounts)| {
            let evidence = counts.evidence?;
            let lifetime = |(index, seconds): (usize, &u32)| Lifetime {
                seconds: *seconds,
                hit_ratio: ratio(counts.hits[index], counts.requests),
                stale_ratio: ratio(counts.stale[index], counts.requests),
            };
            let tried: Vec<Lifetime> = LIFETIMES.iter().enumerate().map(lifetime).collect();
            let safe: Vec<Lifetime> = tried.iter().take_while(|lifetime| lifetime.stale_ratio <= MAX_STALE).copied().collect();
            // A longer one that brings nothing more only risks more.
            let best = safe.iter().map(|lifetime| lifetime.hit_ratio).fold(0.0, f64::max);
            let advised = safe.into_iter().find(|lifetime| best > 0.0 && lifetime.hit_ratio >= best - 0.001);
            let route = name.to_string();
            Some(Advice { route, requests: counts.requests, changes: counts.changes, evidence, advised, tried })
        };
        self.names.iter().zip(&self.routes).filter_map(of_route).collect()
    }
}

impl RouteCounts {
    fn saw(&mut self, evidence: Evidence) {
        self.evidence = Some(self.evidence.map_or(evidence, |weakest| weakest.min(evidence)));
    }
}

/// The best evidence of an answer, and its hash.
fn evidence(record: &LogRecord) -> (Evidence, u32) {
    let fields = &record.response_fields;
    let (evidence, value) = match (fields.get(header::ETAG), fields.get(header::LAST_MODIFIED)) {
        (Some(tag), _) => (Evidence::EntityTag, hash(&[tag.as_bytes()])),
        (None, Some(date)) => (Evidence::LastModified, hash(&[date.as_bytes()])),
        (None, None) => (Evidence::Size, hash(&[&record.bytes.to_le_bytes()])),
    };
    (evidence, value as u32)
}
