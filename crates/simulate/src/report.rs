//! The figures of a replay, as plain data: what is printed and what `--json` writes are made of it.

use serde::Serialize;

use crate::advise::Advice;
use crate::curve::Curve;
use crate::log::LineCounts;
use crate::split::Split;

/// What a cache would have done with a log.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The configuration that was replayed.
    pub config: String,
    /// The formats of the logs.
    pub formats: Vec<String>,
    /// What was read.
    pub lines: LineCounts,
    /// The time of the first record, in milliseconds since 1970.
    pub from_ms: u64,
    /// The time of the last one.
    pub to_ms: u64,
    /// All requests.
    pub total: Figures,
    /// By route, as far as there were requests for it, those with most requests first.
    pub routes: Vec<RouteReport>,
    /// Requests to origins.
    pub origin: OriginLoad,
    /// Reads whose answers were not stored, by reason, the most frequent first.
    pub not_stored: Vec<NotStored>,
    /// Parameters and fields that split keys although the answers are the same.
    pub splits: Vec<Split>,
    /// Writes, and what they made old.
    pub writes: Writes,
    /// Stale responses that were served, by reason.
    pub stale: Vec<StaleServed>,
    /// What the log does not tell and was assumed, in sentences.
    pub assumed: Vec<String>,
    /// The hit ratio by memory size, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curve: Option<Curve>,
    /// Lifetimes by route, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Advice>,
}

/// How requests were answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Requests.
    pub requests: u64,
    /// Those that were answered from the store.
    pub hits: u64,
    /// Those that were answered from the store after the origin had confirmed it.
    pub revalidated: u64,
    /// Those that the origin answered, and whose answer might have been stored.
    pub misses: u64,
    /// Those that passed by the store.
    pub bypassed: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Bytes of all answers.
    pub bytes: u64,
    /// Bytes of hits.
    pub hit_bytes: u64,
    /// Microseconds that the origin takes for all of them.
    pub origin_us: u64,
    /// Microseconds of those that were hits.
    pub saved_us: u64,
    /// Requests to the origin, those in the background included.
    pub origin_requests: u64,
}

impl Figures {
    /// Hits by requests, from 0 to 1.
    pub fn hit_ratio(&self) -> f64 {
        ratio(self.hits, self.requests)
    }

    /// Hits by bytes.
    pub fn byte_ratio(&self) -> f64 {
        ratio(self.hit_bytes, self.bytes)
    }

    /// Hits by the time of the origin; `None` where the log tells no times.
    pub fn time_ratio(&self) -> Option<f64> {
        (self.origin_us > 0).then(|| ratio(self.saved_us, self.origin_us))
    }
}

/// A part of a whole; 0 where that is nothing.
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// How the requests of a route were answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteReport {
    /// The route's name.
    pub route: String,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The load of origins without the cache, and with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct OriginLoad {
    /// Without.
    pub without: Peak,
    /// With.
    pub with: Peak,
}

/// Requests and the busiest second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Peak {
    /// All of them.
    pub requests: u64,
    /// Those of the busiest second.
    pub in_busiest_second: u64,
    /// That second, since 1970.
    pub busiest_second: u64,
    #[serde(skip)]
    second: u64,
    #[serde(skip)]
    in_second: u64,
}

impl Peak {
    /// Counts requests in a second; seconds come in order.
    pub(crate) fn add(&mut self, second: u64, requests: u64) {
        if second != self.second {
            (self.second, self.in_second) = (second, 0);
        }
        self.requests += requests;
        self.in_second += requests;
        if self.in_second > self.in_busiest_second {
            (self.in_busiest_second, self.busiest_second) = (self.in_second, second);
        }
    }
}

/// Reads whose answers were not stored for one reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NotStored {
    /// The reason's word.
    pub reason: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Requests.
    pub requests: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The routes, those with most of them first.
    pub routes: Vec<String>,
}

/// Writes, and what they made old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Writes {
    /// Requests with unsafe methods.
    pub writes: u64,
    /// Those that invalidate more than their own URL.
    pub with_targets: u64,
    /// Reads that had to go to the origin because a write had made old what was stored.
    pub refetched: u64,
}

/// Stale responses that were served for one reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StaleServed {
    /// The reason's word.
    pub reason: &'static str,
    /// Requests.
    pub requests: u64,
}
