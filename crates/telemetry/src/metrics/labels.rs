//! The labels of one request as an integer. Every label has few values, whatever clients send: unknown methods are `other`.

use http::{Method, StatusCode};
use larder_semantics::Reason;

use super::CacheResult;
use crate::snapshot::RequestCount;

/// Methods with a label of their own; everything else is `other`, or a client could make up label values.
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "other"];
/// By [`class_index`].
pub(super) const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// In the order of `CacheResult`, then none.
const RESULTS: [&str; 5] = ["hit", "revalidated", "miss", "bypass", "none"];

/// Method, status class, result and reason.
///
/// ```text
/// bit 31      always set, so that 0 means "no labels"
/// bits 12..31 reason: index + 1, 0 for none
/// bits 8..12  result
/// bits 4..8   status class
/// bits 0..4   method
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Labels(u32);

const PRESENT: u32 = 1 << 31;

impl Labels {
    pub(super) fn new(method: Option<&Method>, status: StatusCode, result: Option<CacheResult>, reason: Option<Reason>) -> Self {
        let reason = reason.map_or(0, |reason| reason as u32 + 1);
        let result = result.map_or(RESULTS.len() as u32 - 1, |result| result as u32);
        Self(PRESENT | reason << 12 | result << 8 | (class_index(status) as u32) << 4 | method.map_or(OTHER_METHOD, method_index))
    }

    /// Never 0.
    pub(super) fn code(self) -> u32 {
        self.0
    }

    /// The inverse of [`Labels::code`]; `None` for 0.
    pub(super) fn from_code(code: u32) -> Option<Self> {
        (code != 0).then_some(Self(code))
    }

    /// The labels in words, with the `count` of requests that have them.
    pub(super) fn count(self, count: u64) -> RequestCount {
        let index = (self.0 & !PRESENT) >> 12;
        let reason = index.checked_sub(1).and_then(|index| Reason::ALL.get(index as usize));
        RequestCount {
            method: word(&METHODS, self.0),
            status: word(&CLASSES, self.0 >> 4),
            result: word(&RESULTS, self.0 >> 8),
            reason: reason.map_or("none", |reason| reason.as_str()),
            count,
        }
    }
}

fn word(words: &[&'static str], bits: u32) -> &'static str {
    words.get((bits & 0xf) as usize).copied().unwrap_or("other")
}

/// The word for a result, as in the log but in small letters.
pub(super) fn result_word(result: CacheResult) -> &'static str {
    word(&RESULTS, result as u32)
}

/// The first digit of a status; 0 where it has no class (RFC 9110 §15).
pub(super) fn class_index(status: StatusCode) -> usize {
    match status.as_u16() / 100 {
        class @ 1..=5 => usize::from(class),
        _ => 0,
    }
}

/// The last of [`METHODS`].
const OTHER_METHOD: u32 = METHODS.len() as u32 - 1;

/// The word for a method, where it is one of those that have one: of others clients make up any number.
pub fn method_word(method: &Method) -> Option<&'static str> {
    let index = method_index(method);
    (index != OTHER_METHOD).then(|| word(&METHODS, index))
}

fn method_index(method: &Method) -> u32 {
    match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::PATCH => 4,
        Method::DELETE => 5,
        Method::OPTIONS => 6,
        Method::CONNECT => 7,
        Method::TRACE => 8,
        _ => OTHER_METHOD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(labels: Labels) -> [&'static str; 4] {
        let RequestCount { method, status, result, reason, .. } = labels.count(1);
        [method, status, result, reason]
    }

    #[test]
    fn every_label_survives_packing() {
        for method in METHODS {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            for (status, class) in [(101, "1xx"), (204, "2xx"), (304, "3xx"), (499, "4xx"), (599, "5xx")] {
                let results = [CacheResult::Hit, CacheResult::Revalidated, CacheResult::Miss, CacheResult::Bypass];
                for (result, word) in results.into_iter().zip(RESULTS) {
                    for reason in Reason::ALL {
                        let status = StatusCode::from_u16(status).unwrap();
                        let labels = Labels::new(Some(&method), status, Some(result), Some(*reason));
                        assert_eq!(Labels::from_code(labels.code()), Some(labels));
                        assert_eq!(words(labels), [method.as_str(), class, word, reason.as_str()]);
                    }
                }
            }
        }
    }

    #[test]
    fn methods_that_clients_make_up_are_other() {
        let method = Method::from_bytes(b"BREW").unwrap();
        let labels = Labels::new(Some(&method), StatusCode::from_u16(999).unwrap(), None, None);
        assert_eq!(words(labels), ["other", "other", "none", "none"]);
    }
}
