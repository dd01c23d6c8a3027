//! `[log]`.

use std::time::Duration;

use http::HeaderName;
use larder_semantics::Reason;

use super::super::{assert_complaint, config};
use crate::{LogCondition, LogField, LogPiece, LogSample};

#[track_caller]
fn in_log(lines: &str, expected: &str) {
    assert_complaint(&format!("[log]\n{lines}"), expected);
}

#[test]
fn a_line_has_the_members_that_are_named() {
    let log = config("[log]\naccess = \"json\"\nfields = [\"status\", \"header.User-Agent\", \"target\", \"tokens_saved\"]").log;
    let agent = LogField::Header(HeaderName::from_static("user-agent"));
    assert_eq!(log.fields, Some(vec![LogField::Status, agent, LogField::Target, LogField::TokensSaved]));
}

#[test]
fn a_format_is_text_with_facts_in_braces() {
    let log = config("[log]\nformat = \"{client} {{{status}}} {header.referer}\"").log;
    let literal = |text: &str| LogPiece::Literal(text.to_owned());
    let referer = LogField::Header(HeaderName::from_static("referer"));
    let expected =
        [LogPiece::Field(LogField::Client), literal(" {"), LogPiece::Field(LogField::Status), literal("} "), LogPiece::Field(referer)];
    assert_eq!(log.format.as_deref(), Some(&expected[..]));
}

#[test]
fn requests_are_chosen_by_conditions_and_by_chance() {
    let log =
        config("[log]\nonly = [\"errors\", \"404\", \"4xx\", \"aborted\", \"slow > 1s\", \"slow>20ms\", \"miss\", \"set-cookie\"]").log;
    let expected = [
        LogCondition::Errors,
        LogCondition::Status(404),
        LogCondition::StatusClass(4),
        LogCondition::Aborted,
        LogCondition::Slow(Duration::from_secs(1)),
        LogCondition::Slow(Duration::from_millis(20)),
        LogCondition::Result("MISS"),
        LogCondition::Reason(Reason::SetCookie),
    ];
    assert_eq!((log.only, log.sample), (expected.to_vec(), None));
    assert_eq!(config("[log]\nsample = 0.001").log.sample, Some(LogSample { share: 0.001, always: Vec::new() }));
    assert_eq!(config("[log]\nsample = 0").log.sample, Some(LogSample { share: 0.0, always: Vec::new() }));
    assert_eq!(config("[log]\nsample = 1.0").log.sample, None, "that is all of them");
    let sample = config("[log]\nsample = { share = 0.01, always = [\"errors\"] }").log.sample;
    assert_eq!(sample, Some(LogSample { share: 0.01, always: vec![LogCondition::Errors] }));
}

#[test]
fn a_field_whose_name_says_that_it_holds_a_credential_is_not_logged() {
    for name in ["X-API-Key", "x-auth-token", "client-cert-chain", "X-Amz-Security-Token", "x-webhook-signature", "Set-Cookie"] {
        let expected = format!("3:11: error: `{}` holds secrets, which are never logged (hint: leave it out)", name.to_lowercase());
        in_log(&format!("access = \"json\"\nfields = [\"header.{name}\"]"), &expected);
    }
    for name in ["x-author", "idempotency-key", "client-hint", "surrogate-key", "x-tokens"] {
        config(&format!("[log]\naccess = \"json\"\nfields = [\"header.{name}\"]"));
    }
}

#[test]
fn what_is_wrong_is_told() {
    for (lines, expected) in [
        (
            "access = \"json\"\nfields = [\"statsu\"]",
            "3:11: error: `statsu` is nothing that a line of the log has (hint: did you mean `status`?)",
        ),
        (
            "access = \"json\"\nfields = [\"header.cookie\"]",
            "3:11: error: `cookie` holds secrets, which are never logged (hint: leave it out)",
        ),
        (
            "access = \"json\"\nfields = [\"header.a b\"]",
            "3:11: error: `a b` is not the name of a header field (hint: like header.user-agent)",
        ),
        ("access = \"json\"\nfields = []", "3:10: error: `fields` names none (hint: leave it out for all, or write access = \"off\")"),
        ("access = \"json\"\nfields = [\"key\", \"key\"]", "3:18: error: `key` is named twice in `fields` (hint: name each once)"),
        ("fields = [\"key\"]", "2:10: warning: `fields` means nothing here (hint: it is for access = \"json\")"),
        ("access = \"json\"\nformat = \"{key}\"", "3:10: warning: `format` means nothing here (hint: it is for access = \"text\")"),
        ("access = \"off\"\nonly = [\"miss\"]", "3:8: warning: `only` means nothing here (hint: there is no access log: access = \"off\")"),
        (
            "format = \"{\"",
            "2:10: error: a brace in `{` has no partner (hint: placeholders are written {NAME} or {query.NAME}; a literal brace is doubled)",
        ),
        ("format = \"x\"", "2:10: error: `format` says nothing of a request (hint: facts stand in braces: \"{client} {status} {target}\")"),
        ("format = \"{key}\\n\"", "2:10: error: `format` has a line break or another control character (hint: a request has one line)"),
        ("only = [\"erors\"]", "2:9: error: `erors` is no condition for a line of the log (hint: did you mean \"errors\"?)"),
        (
            "only = [\"slow > soon\"]",
            "2:9: error: `soon` is not a duration (hint: write a number and a unit: \"250ms\", \"30s\", \"5m\", \"1h30m\", \"0s\")",
        ),
        ("sample = 2", "2:10: error: `sample` is not a share (hint: from 0.0 to 1.0; 0.2 is a fifth)"),
        ("sample = { always = [\"errors\"] }", "2:10: error: [log.sample] needs the key `share` (hint: like share = 0.1)"),
        (
            "file = \"/none/log\"",
            "2:8: error: no file can be at `/none/log` (hint: its directory has to be there, and larder has to be able to write in it)",
        ),
    ] {
        in_log(lines, expected);
    }
}

#[test]
fn the_documentation_has_every_field_in_the_usual_order() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/log.md")).unwrap();
    let (_, table) = text.split_once("| field | type | meaning |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let documented: Vec<_> = rows.map(|row| row.split('`').nth(1).unwrap_or_default()).collect();
    let fields: Vec<_> = LogField::ALL.iter().map(LogField::name).collect();
    assert_eq!(documented, fields);
}
