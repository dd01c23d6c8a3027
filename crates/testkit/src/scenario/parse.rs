//! The language of scenarios.

use super::expect::{Expectation, field, number};
use super::text;
use crate::{Answer, Error, Result};

/// A parsed scenario.
#[derive(Debug, Default)]
pub(super) struct Scenario {
    /// TOML to go with the listeners and the upstream `api`.
    pub(super) config: String,
    pub(super) answers: Vec<AnswerBlock>,
    pub(super) steps: Vec<Step>,
}

/// The origin's answer to a request, and its expectations of the request.
#[derive(Debug)]
pub(super) struct AnswerBlock {
    pub(super) line: usize,
    pub(super) method: String,
    pub(super) target: String,
    /// How many requests it answers; nothing for as many as come.
    pub(super) count: Option<usize>,
    pub(super) expectations: Vec<(usize, Expectation)>,
    pub(super) answer: Answer,
}

/// A step and its line.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) action: Action,
    pub(super) expectations: Vec<(usize, Expectation)>,
}

#[derive(Debug)]
pub(super) enum Action {
    /// A whole exchange.
    Exchange(Request),
    /// The same exchange again and again until the response is as expected: for what only the clock brings about.
    Until(Request),
    /// Sends a request on each of so many new connections.
    Start {
        name: String,
        count: usize,
        request: Request,
    },
    /// Waits for the head.
    Head(String),
    /// Waits for the next head, which must be an interim one.
    Interim(String),
    /// Reads until the body so far is this.
    Read {
        name: String,
        body: Vec<u8>,
    },
    /// Reads to the end.
    Finish(String),
    /// Closes the connections.
    Leave(String),
    Open(String),
    Reached {
        gate: String,
        count: usize,
    },
    /// So many requests have come to the origin, to one target or to all, and no more.
    Requests {
        count: usize,
        target: Option<String>,
    },
    /// A counter in `/metrics` is at least this.
    Metric {
        name: String,
        labels: Vec<String>,
        min: f64,
    },
    /// No fill is under way.
    Settled,
}

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: String,
}

/// An unindented line with the indented ones below it.
struct Block<'a> {
    line: usize,
    words: Vec<&'a str>,
    inside: Vec<(usize, &'a str)>,
}

pub(super) fn parse(source: &str) -> Result<Scenario> {
    let mut scenario = Scenario::default();
    for block in blocks(source)? {
        at(block.line, add(&mut scenario, &block))?;
    }
    Ok(scenario)
}

fn at<T>(line: usize, result: Result<T>) -> Result<T> {
    result.map_err(|error| error.while_doing(format_args!("line {line}")))
}

fn blocks(source: &str) -> Result<Vec<Block<'_>>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for (index, text) in source.lines().enumerate() {
        let line = index + 1;
        if text.trim().is_empty() || text.trim_start().starts_with('#') {
            continue;
        }
        if !text.starts_with(' ') {
            // A body text may hold spaces, so only as many words are taken as are words in every step.
            blocks.push(Block { line, words: text.trim_end().splitn(5, ' ').collect(), inside: Vec::new() });
        } else if let Some(block) = blocks.last_mut() {
            block.inside.push((line, text.trim()));
        } else {
            return Err(Error::new(format!("line {line}: an indented line belongs to no block")));
        }
    }
    Ok(blocks)
}

fn add(scenario: &mut Scenario, block: &Block<'_>) -> Result<()> {
    match block.words[0] {
        "config" => scenario.config = block.inside.iter().map(|(_, text)| format!("{text}\n")).collect(),
        "origin" => scenario.answers.push(answer(block)?),
        _ => scenario.steps.push(step(block)?),
    }
    Ok(())
}

fn answer(block: &Block<'_>) -> Result<AnswerBlock> {
    let (method, target, count) = match block.words.as_slice() {
        [_, method, target] => (method, target, Some(1)),
        [_, method, target, "always"] => (method, target, None),
        [_, method, target, times] => (method, target, Some(times_of(times)?)),
        _ => return Err(Error::new("like: origin GET /path, with x3 or always behind it")),
    };
    let mut expectations = Vec::new();
    let mut answer = Answer::ok();
    for &(line, text) in &block.inside {
        match text.strip_prefix("< ") {
            Some(expected) => expectations.push((line, at(line, Expectation::parse(expected.trim()))?)),
            None => answer = at(line, extend(answer, text))?,
        }
    }
    Ok(AnswerBlock { line: block.line, method: (*method).to_owned(), target: (*target).to_owned(), count, expectations, answer })
}

/// Adds what one line says to the answer.
fn extend(answer: Answer, text: &str) -> Result<Answer> {
    let (marker, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    if marker != ">" {
        return Ok(match marker {
            "wait" => answer.wait(rest),
            "await-close" => answer.await_close(rest),
            _ => return Err(Error::new(format!("an origin does not know: {text}"))),
        });
    }
    let (word, argument) = rest.split_once(' ').unwrap_or((rest, ""));
    let argument = argument.trim();
    Ok(match word {
        "body" => answer.body(text::bytes(argument)?),
        "chunk" => answer.chunk(text::bytes(argument)?),
        "part" => answer.part(text::bytes(argument)?),
        "raw" => Answer::raw(text::bytes(argument)?),
        "length" => answer.declared_length(number(argument)?),
        "head" => answer.flush_head(),
        "cut" => answer.close(),
        "hang-up" => Answer::hang_up(),
        "reset" => answer.reset(),
        "until-close" => answer.until_close(),
        "http/1.0" => answer.http10(),
        "endless" => answer.endless(text::bytes(argument)?),
        "trailer" => {
            let (name, value) = field(argument)?;
            answer.trailers(&[(&name, &value)])
        }
        "interim" => {
            let (status, line) = argument.split_once(' ').unwrap_or((argument, ""));
            let fields = if line.is_empty() { None } else { Some(field(line)?) };
            let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            answer.interim(number(status)?, &fields)
        }
        _ if word.parse::<u16>().is_ok() => answer.with_status(number(word)?),
        _ => {
            let (name, value) = field(rest)?;
            answer.header(name, value)
        }
    })
}

fn step(block: &Block<'_>) -> Result<Step> {
    let mut expectations = Vec::new();
    let mut sent = Vec::new();
    for &(line, text) in &block.inside {
        match (text.strip_prefix("< "), text.strip_prefix("> ")) {
            (Some(expected), _) => expectations.push((line, at(line, Expectation::parse(expected.trim()))?)),
            (_, Some(given)) => sent.push((line, given.trim())),
            _ => return Err(Error::new(format!("line {line}: a step's lines begin with > or <, not: {text}"))),
        }
    }
    let name = |index: usize| block.words.get(index).map(|word| (*word).to_owned()).ok_or_else(|| Error::new("a word is missing"));
    let tail = |index: usize| block.words.get(index..).unwrap_or_default().join(" ");
    let action = match block.words[0] {
        "start" => {
            let times = block.words.get(2).filter(|word| times_of(word).is_ok());
            let method = if times.is_some() { 3 } else { 2 };
            let count = times.map_or(Ok(1), |times| times_of(times))?;
            Action::Start { name: name(1)?, count, request: request(&name(method)?, &name(method + 1)?, &sent)? }
        }
        "until" => Action::Until(request(&name(1)?, &name(2)?, &sent)?),
        "head" => Action::Head(name(1)?),
        "interim" => Action::Interim(name(1)?),
        "read" => Action::Read { name: name(1)?, body: text::bytes(&tail(2))? },
        "finish" => Action::Finish(name(1)?),
        "leave" => Action::Leave(name(1)?),
        "open" => Action::Open(name(1)?),
        "reached" => Action::Reached { gate: name(1)?, count: block.words.get(2).map_or(Ok(1), |count| number(count))? },
        "requests" => Action::Requests { count: number(&name(1)?)?, target: block.words.get(2).map(|target| (*target).to_owned()) },
        "metric" => {
            let (samples, min) = (name(1)?, tail(2));
            let (name, labels) = samples.split_once('{').unwrap_or((&samples, ""));
            let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect();
            Action::Metric { name: name.to_owned(), labels, min: number(min.trim_start_matches(">= "))? }
        }
        "settled" => Action::Settled,
        method if method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') => {
            Action::Exchange(request(method, &name(1)?, &sent)?)
        }
        other => return Err(Error::new(format!("unknown step: {other}"))),
    };
    let takes_expectations =
        matches!(action, Action::Exchange(_) | Action::Until(_) | Action::Head(_) | Action::Interim(_) | Action::Finish(_));
    match expectations.first() {
        Some((line, _)) if !takes_expectations => Err(Error::new(format!("line {line}: this step receives nothing; say it where it ends"))),
        _ => Ok(Step { line: block.line, action, expectations }),
    }
}

fn request(method: &str, target: &str, sent: &[(usize, &str)]) -> Result<Request> {
    let mut request = Request { method: method.to_owned(), target: target.to_owned(), fields: Vec::new(), body: String::new() };
    for &(line, text) in sent {
        match text.strip_prefix("body ") {
            Some(body) => request.body = String::from_utf8(at(line, text::bytes(body.trim()))?)?,
            None => request.fields.push(at(line, field(text))?),
        }
    }
    Ok(request)
}

/// `x3`.
fn times_of(word: &str) -> Result<usize> {
    number(word.strip_prefix('x').ok_or_else(|| Error::new(format!("expected a count like x3, not {word}")))?)
}

#[cfg(test)]
mod tests {
    use super::{Action, parse};

    #[test]
    fn a_scenario_has_a_config_answers_and_steps() {
        let source = "# why\nconfig\n    [cache]\n    ttl = \"1s\"\n\norigin GET /a x2\n    < no X\n    > 200\n    > A: b\n    > body hi\n\nstart crowd x5 GET /a\n    > H: v\nread crowd \"first \"\nfinish crowd\n    < 200\nrequests 1 /a\nmetric m{a=\"b\"} >= 4\nM-SEARCH /b\n";
        let scenario = parse(source).unwrap();
        assert_eq!(scenario.config, "[cache]\nttl = \"1s\"\n");
        let answer = &scenario.answers[0];
        assert_eq!((answer.line, answer.count, answer.expectations.len()), (6, Some(2), 1));
        let [start, read, finish, requests, metric, exchange] = scenario.steps.as_slice() else { panic!("{:?}", scenario.steps) };
        assert!(matches!(&start.action, Action::Start { count: 5, request, .. } if request.fields.len() == 1));
        assert!(matches!(&read.action, Action::Read { body, .. } if body == b"first "));
        assert!(matches!(&finish.action, Action::Finish(name) if name == "crowd") && finish.expectations.len() == 1);
        assert!(matches!(&requests.action, Action::Requests { count: 1, target: Some(target) } if target == "/a"));
        assert!(matches!(&metric.action, Action::Metric { labels, .. } if labels == &["a=\"b\""]));
        assert!(matches!(&exchange.action, Action::Exchange(request) if request.method == "M-SEARCH"));
    }

    #[test]
    fn a_mistake_names_its_line() {
        for (source, line) in [
            ("    > x", "line 1"),
            ("GET /a\n    nonsense", "line 2"),
            ("origin GET /a\n    hum", "line 2"),
            ("frob x", "line 1"),
            ("start a GET /\n    < 200", "line 2"),
            ("GET /a\n    < what", "line 2"),
        ] {
            let error = parse(source).unwrap_err().to_string();
            assert!(error.contains(line), "{source:?}: {error}");
        }
    }
}
