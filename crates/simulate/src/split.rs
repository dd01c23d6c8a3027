//! Parameters of the query that split keys needlessly: with another value the answer is the same, so a fetch could have been a hit.

use std::collections::HashMap;

use serde::Serialize;

use crate::bounded::{Bounded, hash};
use crate::decision::{Decision, Verdict};
use crate::log::LogRecord;

/// Answers that are remembered, by the key without one parameter.
const MAX_ANSWERS: usize = 100_000;

/// Parameters that are counted, of all routes together; a client chooses their names.
const MAX_PARAMETERS: usize = 1000;

/// Parameters of one query that are looked at.
const MAX_OF_QUERY: usize = 16;

/// Parameters that are reported.
const MAX_REPORTED: usize = 10;

/// The share of equal answers from which a parameter counts as needless.
const MIN_AGREEMENT: f64 = 0.9;

/// A parameter that splits keys needlessly.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Split {
    /// The route.
    pub route: String,
    /// The parameter: what `query.drop` of the route would name.
    pub parameter: String,
    /// Fetches whose answer was stored already, under a key with another value of it.
    pub needless_fetches: u64,
    /// Of the fetches where an answer with another value was at hand, the share with an equal answer.
    pub agreement: f64,
}

/// An answer that is stored under a key with one value of a parameter.
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
    parameters: HashMap<(usize, Box<str>), Counts>,
}

impl Default for Splits {
    fn default() -> Self {
        Self { known: Bounded::new(MAX_ANSWERS), parameters: HashMap::new() }
    }
}

impl Splits {
    /// Looks at a record whose answer was fetched and stored.
    pub(crate) fn add(&mut self, route: usize, record: &LogRecord, decision: &Decision) {
        let is_fill = decision.verdict == Verdict::Miss && decision.stored;
        let Some((url, lifetime)) = decision.url.as_deref().zip(decision.lifetime).filter(|_| is_fill) else { return };
        let Some((path, query)) = url.split_once('?') else { return };
        let (key, answer) = (hash(&[url.as_bytes()]), answer_of(record));
        let now = record.time.as_millis();
        let parameters: Vec<&str> = query.split('&').take(MAX_OF_QUERY).collect();
        for (index, parameter) in parameters.iter().enumerate() {
            let name = parameter.split('=').next().unwrap_or_default();
            let mut without: Vec<&[u8]> = vec![&[], path.as_bytes(), name.as_bytes()];
            without.extend(parameters.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other.as_bytes()));
            let place = hash(&without);
            if let Some(known) = self.known.get(place)
                && known.key != key
                && known.fresh_until_ms > now
            {
                let is_equal = known.answer == answer;
                self.count(route, name, is_equal);
            }
            self.known.put(place, Known { key, answer, fresh_until_ms: now + u64::from(lifetime) * 1000 });
        }
    }

    fn count(&mut self, route: usize, name: &str, is_equal: bool) {
        let parameter = (route, name.into());
        if self.parameters.len() >= MAX_PARAMETERS && !self.parameters.contains_key(&parameter) {
            return;
        }
        let counts = self.parameters.entry(parameter).or_default();
        *if is_equal { &mut counts.equal } else { &mut counts.different } += 1;
    }

    /// Those that cost most fetches.
    pub(crate) fn worst(&self, name: impl Fn(usize) -> String) -> Vec<Split> {
        let mut splits: Vec<Split> = Vec::new();
        for ((route, parameter), counts) in &self.parameters {
            let agreement = crate::report::ratio(counts.equal, counts.equal + counts.different);
            if agreement >= MIN_AGREEMENT {
                splits.push(Split { route: name(*route), parameter: parameter.to_string(), needless_fetches: counts.equal, agreement });
            }
        }
        splits.sort_by(|a, b| {
            b.needless_fetches.cmp(&a.needless_fetches).then_with(|| (&a.route, &a.parameter).cmp(&(&b.route, &b.parameter)))
        });
        splits.truncate(MAX_REPORTED);
        splits
    }
}

/// What is known of an answer: two that differ in none of it are taken for equal.
fn answer_of(record: &LogRecord) -> u64 {
    let etag = record.response_fields.get(http::header::ETAG).map_or(&b""[..], |tag| tag.as_bytes());
    hash(&[&record.status.as_u16().to_le_bytes(), &record.bytes.to_le_bytes(), etag])
}
