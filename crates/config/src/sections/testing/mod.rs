//! `[[tests]]`: what a configuration is to do, for `larder test`.

mod event;
mod expect;
mod message;

use std::collections::BTreeSet;
use std::time::Duration;

use toml::Spanned;

use crate::model::{OnEvent, PurgeWord, Route, Server, Test, TestAction, TestStep, WarmBase};
use crate::parse::mistake::Mistake;
use crate::parse::nearest;
use crate::parse::reader::Table;
use crate::sections::warm;
use crate::sections::warm::values::host;

/// What tests refer to in the configuration.
pub(crate) struct Tested<'c> {
    /// What paths belong to.
    pub(crate) base: WarmBase,
    /// The names of its routes.
    pub(crate) routes: Vec<&'c str>,
    /// The types of its events.
    pub(crate) events: Vec<&'c str>,
}

impl<'c> Tested<'c> {
    /// Of these routes behind these listeners, and these events.
    pub(crate) fn of(server: &Server, routes: &'c [Route], fallback: Option<&'c Route>, events: &'c [OnEvent]) -> Self {
        let all = || routes.iter().chain(fallback);
        let usual = warm::usual_base(server, all());
        let base = WarmBase { host: usual.host.or_else(|| Some("localhost".to_owned())), ..usual };
        let events = events.iter().map(|event| event.kind.as_str()).collect();
        Self { base, routes: all().map(|route| &*route.name).collect(), events }
    }
}

/// The tests that are right; mistakes are noted.
pub(crate) fn read(root: &mut Table<'_>, tested: &Tested<'_>) -> Vec<Test> {
    let mut names = Vec::new();
    root.tables("tests").into_iter().filter_map(|table| test(table, tested, &mut names)).collect()
}

fn test(mut table: Table<'_>, tested: &Tested<'_>, names: &mut Vec<Spanned<String>>) -> Option<Test> {
    let name = name(&mut table, names);
    let host = table.parse("host", "a host in quotes, like \"www.example.com\"", host).map(Spanned::into_inner);
    let base = WarmBase { host: host.or_else(|| tested.base.host.clone()), ..tested.base.clone() };
    table.require("steps", "like steps = [{ get = \"/a\", answer = { status = 200 }, expect = { result = \"miss\" } }]");
    let place = table.span();
    let steps: Vec<Option<TestStep>> = table.tables("steps").into_iter().map(|step| step_of(step, tested, &base)).collect();
    if steps.is_empty() && table.get("steps").is_some_and(|steps| steps.get_ref().is_array()) {
        table.mistakes().error(place.clone(), Mistake::new("the test has no steps").hint("each is a request: { get = \"/a\" }"));
    }
    table.finish();
    let steps = steps.into_iter().collect::<Option<Vec<_>>>()?;
    Some(Test { name: name?, steps, place })
}

fn name(table: &mut Table<'_>, names: &mut Vec<Spanned<String>>) -> Option<String> {
    table.require("name", "like name = \"a write drops the board\": reports know the test by it");
    let name = table.parse("name", "a sentence in quotes", |text| match text.trim() {
        "" => Err(Mistake::new("a test needs a name").hint("say what must hold: \"a write drops the board\"")),
        text => Ok(text.to_owned()),
    })?;
    if let Some(first) = names.iter().find(|first| first.get_ref() == name.get_ref()) {
        let mistake = Mistake::new(format!("there are two tests called `{}`", name.get_ref())).hint("give each its own name");
        table.mistakes().clash(name.span(), mistake, Some(first.span()), "first here");
    }
    names.push(name.clone());
    Some(name.into_inner())
}

fn step_of(mut table: Table<'_>, tested: &Tested<'_>, base: &WarmBase) -> Option<TestStep> {
    let wait = table.duration("wait").map(Spanned::into_inner);
    let request = message::request(&mut table, base);
    let purge = table.list("purge", "targets in quotes, like \"tag:issue:7\"", purge_word);
    let event = table.table("event").map(|event| event::read(event, tested));
    let answer = match table.table("answer") {
        Some(answer) => message::answer(answer).map(Some),
        None => Some(None),
    };
    let expect = table.table("expect").map(|expect| expect::read(expect, tested)).unwrap_or_default();
    let place = table.span();
    let mistake = |text: &str, hint: &str| table.mistakes().error(place.clone(), Mistake::new(text).hint(hint));
    let action = match (request, purge, event) {
        (Err(message::Unread), ..) | (Ok(None), None, Some(None)) => None,
        (Ok(Some(request)), None, None) => Some(TestAction::Request(Box::new(request))),
        (Ok(None), Some(targets), None) => Some(TestAction::Purge(targets.into_inner().into_iter().map(Spanned::into_inner).collect())),
        (Ok(None), None, Some(Some(event))) => Some(TestAction::Event(event)),
        (Ok(None), None, None) if wait.is_some() => Some(TestAction::Wait),
        (Ok(None), None, None) => {
            if !["purge", "event", "wait"].into_iter().any(|key| table.has(key)) {
                mistake("the step does nothing", "say what is asked for: get = \"/a\", or let time pass: wait = \"61s\"");
            }
            None
        }
        _ => {
            mistake("a step is a request, a purge or an event, and only one of them", "make two steps of it");
            None
        }
    };
    let is_request = matches!(action, Some(TestAction::Request(_)));
    if action.is_some() && !is_request {
        for key in ["answer", "headers", "body", "client"].into_iter().filter(|key| table.has(key)) {
            mistake(&format!("`{key}` is about a request, and the step has none"), "add one, like get = \"/a\"");
        }
        if action != Some(TestAction::Wait) && !expect.is_of_purge() {
            mistake("of a purge or an event only `purges` can be expected", "what clients get then is for the next step to ask");
        }
        if action == Some(TestAction::Wait) && !expect.is_empty() {
            mistake("nothing comes of waiting alone", "add the request to the same step: { wait = \"61s\", get = \"/a\", expect = … }");
        }
    }
    table.finish();
    Some(TestStep { wait: wait.unwrap_or(Duration::ZERO), action: action?, answer: answer?, expect, place })
}

/// `tag:issue:7`, `url:/a`, `all`.
fn purge_word(text: &str) -> Result<PurgeWord, Mistake> {
    let (kind, value) = text.split_once(':').unwrap_or((text, ""));
    let is_whole = match value {
        "" => PurgeWord::ALONE.contains(&text),
        _ => PurgeWord::KINDS.contains(&kind),
    };
    if is_whole {
        return Ok(PurgeWord { kind: kind.to_owned(), value: value.to_owned() });
    }
    let mistake = Mistake::new(format!("`{text}` is nothing that a purge names"));
    Err(match PurgeWord::KINDS.contains(&kind) {
        true => mistake.hint(format!("say which: \"{kind}:…\"")),
        false => {
            let words: BTreeSet<&str> = PurgeWord::KINDS.into_iter().chain(PurgeWord::ALONE).collect();
            mistake.hint(format!("{}; like \"tag:issue:7\"", nearest::hint(kind, words, "it begins with one of")))
        }
    })
}
