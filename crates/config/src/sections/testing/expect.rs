//! What is to come of a step.

use larder_semantics::Reason;
use toml::Spanned;

use super::{Tested, message, purge_word};
use crate::model::{TestExpectations, TestResult};
use crate::parse::mistake::Mistake;
use crate::parse::nearest;
use crate::parse::reader::Table;
use crate::sections::cache::items;

/// Reads `expect`.
pub(super) fn read(mut table: Table<'_>, tested: &Tested<'_>) -> TestExpectations {
    let text = |text: &str| Ok(text.to_owned());
    let purges = table.list("purges", "targets in quotes, like \"tag:issue:7\"", purge_word);
    let tags = table.list("tags", "tags in quotes, like \"issue:7\"", text);
    let expect = TestExpectations {
        result: table.one_of("result", &TestResult::WORDS).map(Spanned::into_inner),
        reason: table.parse("reason", "the word for a decision in quotes, like \"stale\"", reason).map(Spanned::into_inner),
        stored: table.boolean("stored"),
        stale: table.boolean("stale"),
        fetched: table.boolean("fetched"),
        age: table.count_or_seconds("age"),
        ttl: table.count_or_seconds("ttl"),
        status: message::status(&mut table, "status"),
        body: table.parse("body", "a string", text).map(Spanned::into_inner),
        headers: message::expected_fields(&mut table, "headers"),
        sent: message::expected_fields(&mut table, "sent"),
        purges: purges.map(items),
        key: table.parse("key", "a key, its URL or its path in quotes", text).map(Spanned::into_inner),
        tags: tags.map(items),
        route: table.parse("route", "the name of a route in quotes", |text| route(text, tested)).map(Spanned::into_inner),
    };
    table.finish();
    expect
}

fn reason(text: &str) -> Result<&'static str, Mistake> {
    let words = || Reason::ALL.iter().map(|reason| reason.as_str());
    words().find(|word| *word == text).ok_or_else(|| {
        let hint = match nearest::nearest(text, words()) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => "`larder explain-reason` lists them".to_owned(),
        };
        Mistake::new(format!("`{text}` is the word for no decision")).hint(hint)
    })
}

fn route(text: &str, tested: &Tested<'_>) -> Result<String, Mistake> {
    if tested.routes.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(format!("there is no route `{text}`")).hint(nearest::hint(text, tested.routes.iter().copied(), "there are")))
}
