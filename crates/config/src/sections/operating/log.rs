//! `[log]`.

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE};
use http::{HeaderName, StatusCode};
use larder_semantics::Reason;
use toml::Spanned;
use toml::de::DeValue;

use crate::model::purging::tags::{Piece, pieces};
use crate::model::{AccessLog, Log, LogCondition, LogField, LogLevel, LogPiece, LogSample};
use crate::parse::mistake::Mistake;
use crate::parse::nearest;
use crate::parse::reader::Table;
use crate::parse::units;
use crate::sections::cache::items;
use crate::sections::file;

const FIELD_FORM: &str = "names in quotes, like \"status\" or \"header.user-agent\"";
const CONDITION_FORM: &str = "conditions in quotes, like \"errors\", \"slow > 1s\" or \"miss\"";
const RESULTS: [(&str, &str); 4] = [("hit", "HIT"), ("revalidated", "REVALIDATED"), ("miss", "MISS"), ("bypass", "BYPASS")];

/// `[log]`.
pub(crate) fn read(root: &mut Table<'_>) -> Log {
    let mut log = Log::default();
    let Some(mut table) = root.table("log") else { return log };
    if let Some(access) = table.one_of("access", &[("off", AccessLog::Off), ("json", AccessLog::Json), ("text", AccessLog::Text)]) {
        log.access = access.into_inner();
    }
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    if let Some(level) = table.one_of("level", &levels) {
        log.level = level.into_inner();
    }
    shape(&mut table, &mut log);
    if let Some(only) = table.list("only", CONDITION_FORM, condition) {
        log.only = items(only);
    }
    log.sample = sample(&mut table);
    log.file = file::read(&mut table, "file");
    warn_of_no_use(&mut table, &log);
    table.finish();
    log
}

/// The form of a line.
fn shape(table: &mut Table<'_>, log: &mut Log) {
    if let Some(fields) = table.list("fields", FIELD_FORM, field) {
        if fields.get_ref().is_empty() {
            table
                .mistakes()
                .error(fields.span(), Mistake::new("`fields` names none").hint("leave it out for all, or write access = \"off\""));
        }
        check_once(table, &fields);
        log.fields = Some(items(fields));
    }
    if let Some(format) = table.parse("format", "text in quotes, like \"{client} {status} {target}\"", format) {
        log.format = Some(format.into_inner());
    }
}

/// A member that is there twice is none that programs can rely on.
fn check_once(table: &Table<'_>, fields: &Spanned<Vec<Spanned<LogField>>>) {
    let all = fields.get_ref();
    for (number, field) in all.iter().enumerate() {
        if all[..number].iter().any(|before| before.get_ref().name() == field.get_ref().name()) {
            let mistake = Mistake::new(format!("`{}` is named twice in `fields`", field.get_ref().name()));
            table.mistakes().error(field.span(), mistake.hint("name each once"));
        }
    }
}

/// A name, or `header.NAME`.
fn field(text: &str) -> Result<LogField, Mistake> {
    if let Some(name) = text.strip_prefix("header.") {
        let name = HeaderName::try_from(name)
            .map_err(|_| Mistake::new(format!("`{name}` is not the name of a header field")).hint("like header.user-agent"))?;
        if holds_secrets(&name) {
            return Err(Mistake::new(format!("`{name}` holds secrets, which are never logged")).hint("leave it out"));
        }
        return Ok(LogField::Header(name));
    }
    let all = || LogField::ALL.iter().chain(LogField::IF_NAMED);
    let known = all().find(|field| field.name() == text);
    known.cloned().ok_or_else(|| {
        let hint = nearest::hint(text, all().map(LogField::name), "a line may have `header.NAME`");
        Mistake::new(format!("`{text}` is nothing that a line of the log has")).hint(hint)
    })
}

/// Words in the names of fields that hold credentials, such as `X-API-Key` and `X-Amz-Security-Token`.
const SECRET_WORDS: [&str; 11] = [
    "apikey",
    "auth",
    "authentication",
    "authorization",
    "credential",
    "credentials",
    "passphrase",
    "password",
    "secret",
    "signature",
    "token",
];

/// Two of them, where one alone says nothing: `Idempotency-Key` is no secret.
const SECRET_PAIRS: [[&str; 2]; 3] = [["access", "key"], ["api", "key"], ["client", "cert"]];

fn holds_secrets(name: &HeaderName) -> bool {
    let words: Vec<_> = name.as_str().split(['-', '_', '.']).collect();
    [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SET_COOKIE].contains(name)
        || words.iter().any(|word| SECRET_WORDS.contains(word))
        || words.windows(2).any(|pair| SECRET_PAIRS.iter().any(|secret| pair == secret))
}

/// Text with facts in braces.
fn format(text: &str) -> Result<Vec<LogPiece>, Mistake> {
    if text.chars().any(char::is_control) {
        return Err(Mistake::new("`format` has a line break or another control character").hint("a request has one line"));
    }
    let parts: Vec<_> = pieces(text)?
        .into_iter()
        .map(|piece| match piece {
            Piece::Literal(text) => Ok(LogPiece::Literal(text)),
            Piece::Placeholder(name) => field(name).map(LogPiece::Field),
        })
        .collect::<Result<_, _>>()?;
    if !parts.iter().any(|part| matches!(part, LogPiece::Field(_))) {
        return Err(Mistake::new("`format` says nothing of a request").hint("facts stand in braces: \"{client} {status} {target}\""));
    }
    Ok(parts)
}

/// `0.1`, or `{ share = 0.1, always = ["errors"] }`.
fn sample(table: &mut Table<'_>) -> Option<LogSample> {
    if !matches!(table.get("sample")?.get_ref(), DeValue::Table(_)) {
        let share = table.fraction("sample")?;
        return Some(LogSample { share: share.into_inner(), always: Vec::new() }).filter(|sample| sample.share < 1.0);
    }
    let mut inner = table.table("sample")?;
    inner.require("share", "like share = 0.1");
    let share = inner.fraction("share");
    let always = inner.list("always", CONDITION_FORM, condition).map(items).unwrap_or_default();
    inner.finish();
    Some(LogSample { share: share?.into_inner(), always }).filter(|sample| sample.share < 1.0)
}

/// `"errors"`, `"aborted"`, `"404"`, `"5xx"`, `"slow > 1s"`, a result or a reason.
fn condition(text: &str) -> Result<LogCondition, Mistake> {
    if let Some(time) = text.strip_prefix("slow").map(str::trim_start).and_then(|rest| rest.strip_prefix('>')) {
        return units::duration(time.trim()).map(LogCondition::Slow);
    }
    if let Some(class) = text.strip_suffix("xx").and_then(|class| class.parse().ok()).filter(|class| (1..=5).contains(class)) {
        return Ok(LogCondition::StatusClass(class));
    }
    if let Ok(status) = text.parse::<StatusCode>() {
        return Ok(LogCondition::Status(status.as_u16()));
    }
    match text {
        "errors" => return Ok(LogCondition::Errors),
        "aborted" => return Ok(LogCondition::Aborted),
        _ => {}
    }
    if let Some((_, result)) = RESULTS.iter().find(|(word, _)| *word == text) {
        return Ok(LogCondition::Result(result));
    }
    let reason = Reason::ALL.iter().find(|reason| reason.as_str() == text);
    reason.map(|reason| LogCondition::Reason(*reason)).ok_or_else(|| {
        let words = ["errors", "aborted"].into_iter().chain(RESULTS.iter().map(|(word, _)| *word));
        let hint = match nearest::nearest(text, words.chain(Reason::ALL.iter().map(|reason| reason.as_str()))) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => "\"errors\", \"aborted\", a status like \"404\" or \"4xx\", \"slow > 1s\", \"hit\", \"miss\", or a reason".to_owned(),
        };
        Mistake::new(format!("`{text}` is no condition for a line of the log")).hint(hint)
    })
}

/// Keys that the form of the log has no use for.
fn warn_of_no_use(table: &mut Table<'_>, log: &Log) {
    let all: &[(&'static str, bool, &str)] = &[
        ("fields", log.access != AccessLog::Json, "it is for access = \"json\""),
        ("format", log.access != AccessLog::Text, "it is for access = \"text\""),
        ("only", log.access == AccessLog::Off, "there is no access log: access = \"off\""),
        ("sample", log.access == AccessLog::Off, "there is no access log: access = \"off\""),
        ("file", log.access == AccessLog::Off, "there is no access log: access = \"off\""),
    ];
    for (key, is_useless, hint) in all {
        if *is_useless && let Some(value) = table.get(key) {
            table.mistakes().warning(value.span(), Mistake::new(format!("`{key}` means nothing here")).hint(hint));
        }
    }
}
