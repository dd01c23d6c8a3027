//! Parameters of the query and fields of requests that split keys needlessly: with another value the answer is the same, so a fetch could have been a hit.

use std::collections::HashMap;
use std::fmt;

use http::{HeaderMap, HeaderName};
use serde::Serialize;

use crate::bounded::{Bounded, hash};
use crate::decision::{Decision, Verdict};
use crate::log::LogRecord;

/// Answers that are remembered, by the key without one of its parts.
const MAX_ANSWERS: usize = 100_000;

/// Parameters and fields that are counted, of all routes together; a client chooses the names of parameters.
const MAX_PARTS: usize = 1000;

/// Parameters of one query that are looked at.
const MAX_OF_QUERY: usize = 16;

/// Parts that are reported.
const MAX_REPORTED: usize = 10;

/// The share of equal answers from which a part counts as needless.
const MIN_AGREEMENT: f64 = 0.9;

/// A part of keys that splits them needlessly.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Split {
    /// The route.
    pub route: String,
    /// What it is.
    pub by: SplitBy,
    /// Its name.
    pub name: String,
    /// Fetches whose answer was stored already, under a key with another value of it.
    pub needless_fetches: u64,
    /// Of the fetches where an answer with another value was at hand, the share with an equal answer.
    pub agreement: f64,
}

/// What a part of a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitBy {
    /// A parameter of the query: `query.drop` of the route would name it.
    Parameter,
    /// A field of requests: of `key.headers`, or one that answers name in `Vary`.
    Header,
}

impl fmt::Display for SplitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parameter => "parameter",
            Self::Header => "header",
        })
    }
}

/// An answer that is stored under a key with one value of a part.
#[derive(Debug)]
struct Known {
    key: u64,
    answer: u64,
    fresh_until_ms: u64,
}

#[derive(Debug, Default)]
struct Counts {
    equal: u64,
    different: u64,
}

#[derive(Debug)]
pub(crate) struct Splits {
    known: Bounded<Known>,
    parts: HashMap<(usize, SplitBy, Box<str>), Counts>,
}

impl Default for Splits {
    fn default() -> Self {
        Self { known: Bounded::new(MAX_ANSWERS), parts: HashMap::new() }
    }
}

/// A fetch whose answer was stored.
struct Fill<'f> {
    route: usize,
    path: &'f str,
    parameters: Vec<&'f str>,
    /// Fields by which the answer was chosen, with their values.
    fields: Vec<(&'f str, u64)>,
    answer: u64,
    now_ms: u64,
    fresh_until_ms: u64,
}

impl Splits {
    /// Looks at a record whose answer was fetched and stored.
    pub(crate) fn add(&mut self, route: usize, record: &LogRecord, decision: &Decision) {
        let is_fill = decision.verdict == Verdict::Miss && decision.stored;
        let Some((url, lifetime)) = decision.url.as_deref().zip(decision.lifetime).filter(|_| is_fill) else { return };
        let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
        if query.is_none() && decision.fields.is_empty() {
            return;
        }
        let now_ms = record.time.as_millis();
        let fill = Fill {
            route,
            path,
            parameters: query.into_iter().flat_map(|query| query.split('&')).take(MAX_OF_QUERY).collect(),
            fields: decision.fields.iter().map(|name| (name.as_str(), value_of(&record.request_fields, name))).collect(),
            answer: answer_of(record),
            now_ms,
            fresh_until_ms: now_ms + u64::from(lifetime) * 1000,
        };
        let key = fill.hash(None, None);
        for (index, parameter) in fill.parameters.iter().enumerate() {
            let name = parameter.split('=').next().unwrap_or_default();
            self.look(&fill, (SplitBy::Parameter, name), key, fill.hash(Some(index), None));
        }
        for (index, (name, _)) in fill.fields.iter().enumerate() {
            self.look(&fill, (SplitBy::Header, name), key, fill.hash(None, Some(index)));
        }
    }

    /// Compares with what is stored under a key with another value of this part. `place` is the key without it.
    fn look(&mut self, fill: &Fill<'_>, (by, name): (SplitBy, &str), key: u64, place: u64) {
        let place = hash(&[&[by as u8], name.as_bytes(), &place.to_le_bytes()]);
        let is_equal = match self.known.get(place) {
            Some(known) if known.key != key && known.fresh_until_ms > fill.now_ms => Some(known.answer == fill.answer),
            _ => None,
        };
        is_equal.into_iter().for_each(|is_equal| self.count((fill.route, by, name.into()), is_equal));
        self.known.put(place, Known { key, answer: fill.answer, fresh_until_ms: fill.fresh_until_ms });
    }

    fn count(&mut self, part: (usize, SplitBy, Box<str>), is_equal: bool) {
        if self.parts.len() >= MAX_PARTS && !self.parts.contains_key(&part) {
            return;
        }
        let counts = self.parts.entry(part).or_default();
        *if is_equal { &mut counts.equal } else { &mut counts.different } += 1;
    }

    /// Those that cost most fetches.
    pub(crate) fn worst(&self, name: impl Fn(usize) -> String) -> Vec<Split> {
        let mut splits: Vec<Split> = Vec::new();
        for ((route, by, part), counts) in &self.parts {
            let agreement = crate::report::ratio(counts.equal, counts.equal + counts.different);
            if agreement >= MIN_AGREEMENT {
                splits.push(Split { route: name(*route), by: *by, name: part.to_string(), needless_fetches: counts.equal, agreement });
            }
        }
        splits.sort_by(|a, b| {
            b.needless_fetches.cmp(&a.needless_fetches).then_with(|| (&a.route, a.by, &a.name).cmp(&(&b.route, b.by, &b.name)))
        });
        splits.truncate(MAX_REPORTED);
        splits
    }
}

impl Fill<'_> {
    /// The key, without one of its parameters or fields.
    fn hash(&self, parameter: Option<usize>, field: Option<usize>) -> u64 {
        let parameters = self.parameters.iter().enumerate().filter(|(index, _)| Some(*index) != parameter);
        let fields = self.fields.iter().enumerate().filter(|(index, _)| Some(*index) != field);
        let values: Vec<[u8; 8]> = fields.map(|(_, (_, value))| value.to_le_bytes()).collect();
        let mut parts: Vec<&[u8]> = vec![self.path.as_bytes()];
        parts.extend(values.iter().map(|value| &value[..]));
        // What follows are parameters, whatever they look like.
        parts.push(&[]);
        parts.extend(parameters.map(|(_, parameter)| parameter.as_bytes()));
        hash(&parts)
    }
}

/// All lines of a field.
fn value_of(fields: &HeaderMap, name: &HeaderName) -> u64 {
    let lines: Vec<&[u8]> = fields.get_all(name).iter().map(|line| line.as_bytes()).collect();
    hash(&lines)
}

/// What is known of an answer: two that differ in none of it are taken for equal.
fn answer_of(record: &LogRecord) -> u64 {
    let etag = record.response_fields.get(http::header::ETAG).map_or(&b""[..], |tag| tag.as_bytes());
    let body = record.body_hash.as_deref().unwrap_or_default().as_bytes();
    hash(&[&record.status.as_u16().to_le_bytes(), &record.bytes.to_le_bytes(), etag, body])
}
