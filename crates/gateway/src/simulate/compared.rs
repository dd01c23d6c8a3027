//! What two configurations decide differently about the same requests.

use larder_simulate::{Decision, LogRecord, Verdict};
use serde::Serialize;

/// Differences that are shown.
const MAX_SHOWN: usize = 10;

/// How often decisions differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Comparison {
    /// Requests that are hits with the second configuration alone.
    pub(crate) gained: u64,
    /// Requests that are hits with the first one alone.
    pub(crate) lost: u64,
    /// The first of each route and reason.
    pub(crate) first: Vec<Difference>,
}

/// A request that is answered in another way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Difference {
    /// The method.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// With the first configuration.
    pub(crate) first: String,
    /// With the second one.
    pub(crate) second: String,
}

impl Comparison {
    /// Looks at what was decided about a record.
    pub(super) fn add(&mut self, record: &LogRecord, first: &Decision, second: &Decision) {
        match (first.is_hit(), second.is_hit()) {
            (false, true) => self.gained += 1,
            (true, false) => self.lost += 1,
            _ => return,
        }
        let (first, second) = (words(first), words(second));
        let is_known = self.first.iter().any(|known| (&known.first, &known.second) == (&first, &second));
        if !is_known && self.first.len() < MAX_SHOWN {
            let (method, target) = (record.method.to_string(), record.target.to_string());
            self.first.push(Difference { method, target, first, second });
        }
    }
}

fn words(decision: &Decision) -> String {
    match decision.verdict {
        Verdict::Refused => "refused".to_owned(),
        verdict => format!("{} {}", verdict.word(), decision.reason),
    }
}
