//! The differences between what was expected of a step and what came of it.

use http::header::AGE;
use http::{HeaderMap, HeaderName, HeaderValue};
use larder_semantics::KeyParts;
use larder_store::Tag;

use super::purges;
use super::report::Difference;
use super::step::Seen;
use crate::active::ActiveConfig;
use crate::config::{FieldExpectation, NAME_TAG, PurgeWord, TestExpectations, TestRequest};

/// Longer values are cut: a person reads them.
const MAX_SHOWN: usize = 300;

/// Everything that is not as it was expected.
pub(super) fn compare(active: &ActiveConfig, request: &TestRequest, expect: &TestExpectations, seen: &Seen) -> Vec<Difference> {
    let mut found = Differences::default();
    for asked in seen.asked.iter().filter(|asked| !asked.is_known) {
        let what = format!("{} {}, which no step has an answer for: add answer = {{ status = 200 }}", asked.method, asked.path);
        found.0.push(Difference::new("origin", "", format!("it was asked for {what}")));
    }
    let answer = &seen.answer;
    found.of("result", expect.result.map(|result| result.as_str()), answer.result.as_str());
    found.of("reason", expect.reason, answer.reason.map_or("none", |reason| reason.as_str()));
    found.of("status", expect.status.map(|status| status.as_str().to_owned()), answer.status.as_str());
    found.of("stored", expect.stored, is_stored(seen));
    found.of("stale", expect.stale, answer.stale);
    found.of("fetched", expect.fetched, !seen.asked.is_empty());
    let age = answer.headers.get(AGE).and_then(|age| age.to_str().ok()).unwrap_or("none");
    found.of("age", expect.age, age);
    found.of("ttl", expect.ttl, seen.kept.as_ref().map_or_else(|| "nothing is stored".to_owned(), |kept| kept.ttl.to_string()));
    found.of("route", expect.route.as_deref(), seen.route.as_deref().unwrap_or("none"));
    found.of("body", expect.body.as_deref(), &*String::from_utf8_lossy(&answer.body));
    if let Some(key) = &expect.key {
        let shown = seen.key.as_deref().map_or("none", |text| part_like(text, key));
        found.of("key", Some(key), shown);
    }
    found.fields("headers", &expect.headers, &answer.headers);
    // A request that the origin was not asked for has no fields there.
    let none = HeaderMap::new();
    let sent = seen.asked.iter().rfind(|asked| asked.path == request.url.path()).map_or(&none, |asked| &asked.headers);
    found.fields("sent", &expect.sent, sent);
    let own = (request.url.scheme_str().unwrap_or("http"), request.url.authority().map_or("", |authority| authority.as_str()));
    found.0.extend(compare_purges(active, expect, own, &seen.purges));
    if let Some(tags) = &expect.tags {
        found.tags(tags, seen);
    }
    found.0
}

/// What was invalidated that was not expected, or the other way round. `own` is the scheme and host of paths.
pub(super) fn compare_purges(active: &ActiveConfig, expect: &TestExpectations, own: (&str, &str), purges: &[PurgeWord]) -> Vec<Difference> {
    let mut found = Differences::default();
    if let Some(expected) = &expect.purges {
        let expected = purges::expected(active, expected, own);
        found.of("purges", Some(list(&expected)), list(purges));
    }
    found.0
}

/// Whether the answer has come into the store: a guard may have kept it out after its head was sent.
fn is_stored(seen: &Seen) -> bool {
    let is_read = seen.explanation.invalidates.is_empty();
    seen.answer.stored && (!is_read || seen.kept.is_some())
}

/// The part of a key that is written in the way of an expectation: all of it, its URL, or its path.
fn part_like<'k>(text: &'k str, expected: &str) -> &'k str {
    let Some(parts) = KeyParts::of(text) else { return text };
    match expected {
        expected if expected.starts_with('/') => {
            let rest = parts.url.split_once("://").map_or(parts.url, |(_, rest)| rest);
            rest.find('/').map_or("", |at| &rest[at..])
        }
        expected if expected.starts_with("http") || expected.starts_with('*') => parts.url,
        _ => text,
    }
}

fn list(words: &[PurgeWord]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("[{}]", words.join(", "))
}

fn shown(text: &str) -> String {
    match text.len() {
        0..=MAX_SHOWN => text.to_owned(),
        length => format!("{}… ({length} bytes)", &text[..text.floor_char_boundary(MAX_SHOWN)]),
    }
}

#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    fn of(&mut self, what: &str, expected: Option<impl ToString>, found: impl ToString) {
        let Some(expected) = expected.map(|expected| expected.to_string()) else { return };
        let found = found.to_string();
        if expected != found {
            self.0.push(Difference::new(what, shown(&expected), shown(&found)));
        }
    }

    fn fields(&mut self, what: &str, expected: &[(HeaderName, FieldExpectation)], fields: &HeaderMap) {
        for (name, expectation) in expected {
            let lines: Vec<&[u8]> = fields.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            let found = || match &lines[..] {
                [] => "none".to_owned(),
                lines => lines.iter().map(|line| String::from_utf8_lossy(line)).collect::<Vec<_>>().join(" | "),
            };
            let (is_right, expected) = match expectation {
                FieldExpectation::Present => (!lines.is_empty(), "any value".to_owned()),
                FieldExpectation::Absent => (lines.is_empty(), "none".to_owned()),
                FieldExpectation::Lines(wanted) => (wanted.iter().map(String::as_bytes).eq(lines.iter().copied()), wanted.join(" | ")),
            };
            if !is_right {
                self.0.push(Difference::new(format!("{what}.{name}"), shown(&expected), shown(&found())));
            }
        }
    }

    /// Tags that the origin has named are known as hashes only, so what is expected is looked for among these.
    fn tags(&mut self, expected: &[String], seen: &Seen) {
        let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        expected.sort_unstable();
        let has = |tag: &str| seen.kept.as_ref().is_some_and(|kept| kept.response.tags().iter().any(|own| own == Tag::surrogate(tag)));
        let known = seen.kept.iter().flat_map(|kept| &kept.tags).map(String::as_str);
        let mut found: Vec<&str> = expected.iter().copied().filter(|tag| has(tag)).collect();
        found.extend(known.filter(|tag| !expected.contains(tag) && !tag.starts_with(NAME_TAG)));
        found.sort_unstable();
        found.dedup();
        if expected != found {
            self.0.push(Difference::new("tags", format!("{expected:?}"), format!("{found:?}")));
        }
    }
}
