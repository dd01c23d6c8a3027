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
    /// A hash of the body, in Larder's own log.
    BodyHash,
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
    /// Whether that is known by the hash of its body: then nothing else tells of changes.
    is_hashed: bool,
    /// By lifetime: when it would have been fetched last, in seconds, and the answer then.
    fetched: [(u32, u32); LIFETIMES.len()],
}

impl Followed {
    /// The first hash of its body says nothing of what was known otherwise: it is taken for the same answer.
    fn is_known_by_hash(&mut self, answer: u32) {
        self.fetched.iter_mut().filter(|(_, fetched)| *fetched == self.answer).for_each(|(_, fetched)| *fetched = answer);
        (self.answer, self.is_hashed) = (answer, true);
    }
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
    /// Whether the log tells hashes of bodies.
    has_hashes: bool,
}

impl Advisor {
    /// For the routes with these names.
    pub fn new(names: Vec<Arc<str>>) -> Self {
        let routes = names.iter().map(|_| RouteCounts::default()).collect();
        Self { names, routes, keys: Bounded::new(MAX_KEYS), has_hashes: false }
    }

    /// Looks at a record. Only answers that a cache could have used say something.
    pub fn add(&mut self, record: &LogRecord, decision: &Decision) {
        let Some(counts) = decision.route.and_then(|route| self.routes.get_mut(route)) else { return };
        let Some(url) = decision.url.as_deref().filter(|_| record.method == Method::GET) else { return };
        let seen = match record.status {
            StatusCode::OK => Some(evidence(record)).filter(|_| !(self.has_hashes && tells_nothing(record))),
            // The client has what the origin has.
            StatusCode::NOT_MODIFIED => None,
            _ => return,
        };
        self.has_hashes |= record.body_hash.is_some();
        let now = record.time.as_secs();
        let key = hash(&[&decision.route.unwrap_or_default().to_le_bytes(), url.as_bytes()]);
        let Some(followed) = self.keys.get(key) else {
            if let Some((evidence, answer)) = seen {
                counts.requests += 1;
                counts.saw(evidence);
                self.keys
                    .put(key, Followed { answer, is_hashed: evidence == Evidence::BodyHash, fetched: [(now, answer); LIFETIMES.len()] });
            }
            return;
        };
        counts.requests += 1;
        if let Some((evidence, answer)) = seen.filter(|(evidence, _)| !followed.is_hashed || *evidence == Evidence::BodyHash) {
            counts.saw(evidence);
            if evidence == Evidence::BodyHash && !followed.is_hashed {
                followed.is_known_by_hash(answer);
            }
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

/// Whether a line of a log with hashes has none, since the cache that wrote it has answered from its store: the origin was not asked.
fn tells_nothing(record: &LogRecord) -> bool {
    record.body_hash.is_none() && record.was_hit == Some(true)
}

/// The best evidence of an answer, and its hash.
fn evidence(record: &LogRecord) -> (Evidence, u32) {
    if let Some(of_body) = &record.body_hash {
        return (Evidence::BodyHash, hash(&[of_body.as_bytes()]) as u32);
    }
    let fields = &record.response_fields;
    let (evidence, value) = match (fields.get(header::ETAG), fields.get(header::LAST_MODIFIED)) {
        (Some(tag), _) => (Evidence::EntityTag, hash(&[tag.as_bytes()])),
        (None, Some(date)) => (Evidence::LastModified, hash(&[date.as_bytes()])),
        (None, None) => (Evidence::Size, hash(&[&record.bytes.to_le_bytes()])),
    };
    (evidence, value as u32)
}
