//! `balance`, `eject`, `retry` and `warm_up`.

use std::time::Duration;

use http::{HeaderName, StatusCode};
use toml::Spanned;

use super::positive;
use crate::model::{Balance, Eject, HashKey, HashPart, PerMille, Retry, RetryMethods, RetryOn};
use crate::parse::mistake::Mistake;
use crate::parse::nearest;
use crate::parse::reader::Table;

const POLICIES: [&str; 4] = ["least-time", "round-robin", "least-requests", "hash:{path}"];
const CONDITIONS: [&str; 6] = ["connect", "reset", "timeout", "502", "503", "504"];

/// What the section says; the outer `None` is the default.
pub(super) struct Balancing {
    pub(super) balance: Option<Balance>,
    pub(super) eject: Option<Option<Eject>>,
    pub(super) retry: Option<Option<Retry>>,
    pub(super) warm_up: Option<Duration>,
}

/// `are_several`: whether there is a choice of servers.
pub(super) fn read(table: &mut Table<'_>, are_several: bool) -> Balancing {
    let balance = table.parse("balance", "a word in quotes, like \"round-robin\"", policy);
    let warm_up = table.duration("warm_up");
    if !are_several {
        let given = [
            ("balance", balance.as_ref().map(Spanned::span)),
            ("warm_up", warm_up.as_ref().map(Spanned::span)),
            ("eject", table.get("eject").map(Spanned::span)),
        ];
        for (key, span) in given.into_iter().filter_map(|(key, span)| Some((key, span?))) {
            let mistake = Mistake::new(format!("`{key}` has no effect: this upstream has one server"));
            table.mistakes().warning(span, mistake.hint("leave it out, or name more in `servers`; `breaker` protects a single one"));
        }
    }
    Balancing {
        balance: balance.map(Spanned::into_inner),
        eject: unless_false(table, "eject", eject).map(|eject| eject.filter(|_| are_several)),
        retry: unless_false(table, "retry", retry),
        warm_up: warm_up.map(Spanned::into_inner),
    }
}

/// `key = false`, or a table; the outer `None` where it is not there or is no table.
fn unless_false<T>(table: &mut Table<'_>, key: &'static str, read: impl FnOnce(Table<'_>) -> T) -> Option<Option<T>> {
    if table.get(key)?.get_ref().as_bool() == Some(false) {
        return Some(None);
    }
    table.table(key).map(|inner| Some(read(inner)))
}

fn eject(mut table: Table<'_>) -> Eject {
    let usual = Eject::default();
    let failures = table.integer("failures", 1..=1000).and_then(|failures| u32::try_from(failures).ok());
    let eject = Eject {
        failures: failures.unwrap_or(usual.failures),
        within: positive(&mut table, "within").unwrap_or(usual.within),
        pause: positive(&mut table, "for").unwrap_or(usual.pause),
        max_share: table.share("max_share").map_or(usual.max_share, |share| PerMille(share.into_inner())),
    };
    table.finish();
    eject
}

fn retry(mut table: Table<'_>) -> Retry {
    let usual = Retry::default();
    let max = table.integer("max", 1..=10).and_then(|max| u32::try_from(max).ok());
    let on = table.list("on", "words in quotes, like \"connect\" or \"503\"", condition);
    let retry = Retry {
        max: max.unwrap_or(usual.max),
        on: on.map_or(usual.on, |conditions| all_of(conditions.into_inner().into_iter().map(Spanned::into_inner))),
        budget: table.share("budget").map_or(usual.budget, |share| PerMille(share.into_inner())),
        only: table
            .one_of("only", &[("safe", RetryMethods::Safe), ("idempotent", RetryMethods::Idempotent)])
            .map(Spanned::into_inner)
            .unwrap_or_default(),
    };
    table.finish();
    retry
}

enum Condition {
    Connect,
    Reset,
    Timeout,
    Status(StatusCode),
}

fn condition(text: &str) -> Result<Condition, Mistake> {
    match text {
        "connect" => return Ok(Condition::Connect),
        "reset" => return Ok(Condition::Reset),
        "timeout" => return Ok(Condition::Timeout),
        _ => {}
    }
    let status = text.parse::<StatusCode>().ok().filter(StatusCode::is_server_error);
    status.map(Condition::Status).ok_or_else(|| {
        let hint = format!("expected some of {}, or another status from 500 to 599", nearest::quoted(CONDITIONS));
        Mistake::new(format!("`{text}` is nothing that a request is sent again for")).hint(hint)
    })
}

fn all_of(conditions: impl Iterator<Item = Condition>) -> RetryOn {
    let mut on = RetryOn { connect: false, reset: false, timeout: false, statuses: Vec::new() };
    for condition in conditions {
        match condition {
            Condition::Connect => on.connect = true,
            Condition::Reset => on.reset = true,
            Condition::Timeout => on.timeout = true,
            Condition::Status(status) => on.statuses.push(status),
        }
    }
    on
}

fn policy(text: &str) -> Result<Balance, Mistake> {
    match text {
        "least-time" => Ok(Balance::LeastTime),
        "round-robin" => Ok(Balance::RoundRobin),
        "least-requests" => Ok(Balance::LeastRequests),
        _ => match text.strip_prefix("hash:") {
            Some(template) => hash_key(template).map(Balance::Hash),
            None => {
                let hint = match nearest::nearest(text, POLICIES) {
                    Some(word) => format!("did you mean \"{word}\"?"),
                    None => format!("expected one of {}", nearest::quoted(POLICIES)),
                };
                Err(Mistake::new(format!("`{text}` is not a value of `balance`")).hint(hint))
            }
        },
    }
}

/// Text and placeholders, of which there has to be one: otherwise all requests would go to one server.
fn hash_key(template: &str) -> Result<HashKey, Mistake> {
    const HINT: &str = "{path}, {query}, {host}, {client}, {header.NAME} or {cookie.NAME}, like balance = \"hash:{path}\"";
    let wrong = |message: String| Mistake::new(message).hint(HINT);
    let (mut parts, mut rest) = (Vec::new(), template);
    while let Some((text, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').ok_or_else(|| wrong(format!("a `{{` is not closed in `{template}`")))?;
        parts.extend((!text.is_empty()).then(|| HashPart::Text(text.to_owned())));
        parts.push(placeholder(name).ok_or_else(|| wrong(format!("`{{{name}}}` is not a part of a request")))?);
        rest = behind;
    }
    if parts.iter().all(|part| matches!(part, HashPart::Text(_))) {
        return Err(wrong("`hash:` names no part of a request, so one server would get them all".to_owned()));
    }
    parts.extend((!rest.is_empty()).then(|| HashPart::Text(rest.to_owned())));
    Ok(HashKey { parts })
}

fn placeholder(name: &str) -> Option<HashPart> {
    Some(match name {
        "path" => HashPart::Path,
        "query" => HashPart::Query,
        "host" => HashPart::Host,
        "client" => HashPart::Client,
        _ => match name.split_once('.')? {
            ("header", name) => HashPart::Header(HeaderName::from_bytes(name.as_bytes()).ok()?),
            ("cookie", name) if !name.is_empty() => HashPart::Cookie(name.to_owned()),
            _ => return None,
        },
    })
}
