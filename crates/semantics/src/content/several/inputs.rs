//! Texts that are to be embedded: OpenAI's and Ollama's `input`, Gemini's `requests`.
//!
//! A provider counts the tokens of a whole request. Its parts get shares of that by the lengths of their texts, which add up to it.

use super::may_be_parted;
use crate::content::json::Value;

/// Members of requests that list what is to be embedded.
const LISTS: [&str; 2] = ["input", "requests"];

/// Members of answers that list the embeddings; the items of the first have their places in them.
const NUMBERED: &str = "data";
const PLAIN: &str = "embeddings";

/// Members of answers that count something for all of their items.
const COUNTS: [&str; 5] = ["usage", "usageMetadata", "prompt_eval_count", "total_duration", "load_duration"];

/// A request for embeddings.
#[derive(Debug)]
pub(super) struct Inputs<'a> {
    request: Value<'a>,
    list: &'static str,
}

impl<'a> Inputs<'a> {
    /// `None` where there is no list of them.
    pub(super) fn of(request: Value<'a>) -> Option<Self> {
        let list = LISTS.into_iter().find(|name| request.member(name).is_some())?;
        let items = request.member(list)?.items()?;
        // Several numbers are the tokens of one text.
        let is_one = items.iter().any(|item| matches!(item, Value::Plain(_)));
        (!is_one).then_some(Self { request, list })
    }

    fn items(&self) -> &[Value<'a>] {
        self.request.member(self.list).and_then(Value::items).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.items().len()
    }

    /// The request for what is in these places alone.
    pub(super) fn request(&self, places: &[usize]) -> String {
        let items = places.iter().filter_map(|place| self.items().get(*place)).map(Value::copy).collect();
        let Value::Object(members) = &self.request else { return String::new() };
        let others = members.iter().filter(|(name, _)| name != self.list).map(|(name, value)| (name.clone(), value.copy()));
        let mut request = Value::Object(others.collect());
        request.set(self.list, Value::Array(items));
        request.to_json()
    }

    /// The answer has `length` bytes.
    pub(super) fn cut(&self, places: &[usize], length: usize, answer: &Value<'_>) -> Option<Vec<String>> {
        let (list, items) = list_of(answer)?;
        let shared = part_of(answer, list, &Value::Plain("0"), &|count| count).len();
        may_be_parted(length, places.len(), shared).then_some(())?;
        let items = in_order(list, items).filter(|items| items.len() == places.len())?;
        let lengths = places.iter().map(|place| self.items().get(*place).map(|item| item.to_json().len() as u64));
        let lengths = lengths.collect::<Option<Vec<_>>>()?;
        let total: u64 = lengths.iter().sum();
        let mut before = 0;
        let parts = items.into_iter().zip(lengths).map(|(item, length)| {
            let end = before + length;
            // Shares of the same count end where the next begins, so they add up.
            let upto = |count: u64, length: u64| (u128::from(count) * u128::from(length) / u128::from(total.max(1))) as u64;
            let share = |count: u64| upto(count, end) - upto(count, before);
            let part = part_of(answer, list, item, &share);
            before = end;
            part
        });
        Some(parts.collect())
    }
}

/// The embeddings of an answer, and the member that has them.
fn list_of<'v, 'a>(answer: &'v Value<'a>) -> Option<(&'static str, &'v [Value<'a>])> {
    [NUMBERED, PLAIN].into_iter().find_map(|name| Some((name, answer.member(name)?.items()?)))
}

/// The items in the order of what was asked for.
fn in_order<'v, 'a>(list: &str, items: &'v [Value<'a>]) -> Option<Vec<&'v Value<'a>>> {
    if list == PLAIN {
        return Some(items.iter().collect());
    }
    let mut ordered = vec![None; items.len()];
    for item in items {
        let place = usize::try_from(item.member("index")?.count()?).ok()?;
        if ordered.get_mut(place)?.replace(item).is_some() {
            return None;
        }
    }
    ordered.into_iter().collect()
}

/// The answer as it would be for one item.
fn part_of(answer: &Value<'_>, list: &'static str, item: &Value<'_>, share: &dyn Fn(u64) -> u64) -> String {
    let mut text = String::new();
    write_members(&mut text, answer, |text, name, value| {
        if name == list {
            text.push('[');
            write_item(text, item, 0);
            text.push(']');
        } else if COUNTS.contains(&name) {
            write_share(text, value, share);
        } else {
            value.write(text);
        }
        Some(())
    });
    text
}

/// The answer that parts make up.
pub(super) fn join(answers: &[Value<'_>]) -> Option<String> {
    let (first, rest) = answers.split_first()?;
    let (list, _) = list_of(first)?;
    let Value::Object(members) = first else { return None };
    let is_alike = |answer: &Value<'_>| matches!(answer, Value::Object(others) if others.len() == members.len());
    if !rest.iter().all(is_alike) {
        return None;
    }
    let mut text = String::new();
    write_members(&mut text, first, |text, name, value| {
        let others = rest.iter().map(|answer| answer.member(name)).collect::<Option<Vec<_>>>()?;
        if name == list {
            text.push('[');
            for (place, answer) in answers.iter().enumerate() {
                let [item] = answer.member(list)?.items()? else { return None };
                text.push_str(if place > 0 { "," } else { "" });
                write_item(text, item, place);
            }
            text.push(']');
        } else if COUNTS.contains(&name) {
            write_sum(text, value, &others)?;
        } else {
            others.iter().all(|other| *other == value).then(|| value.write(text))?;
        }
        Some(())
    })?;
    Some(text)
}

/// Writes an object, each of whose values is written by `write`. `None` as soon as one is not.
fn write_members<'v>(
    text: &mut String,
    object: &'v Value<'_>,
    mut write: impl FnMut(&mut String, &str, &'v Value<'_>) -> Option<()>,
) -> Option<()> {
    let Value::Object(members) = object else { return None };
    text.push('{');
    for (count, (name, value)) in members.iter().enumerate() {
        text.push_str(if count > 0 { "," } else { "" });
        Value::string(name.as_ref()).write(text);
        text.push(':');
        write(text, name, value)?;
    }
    text.push('}');
    Some(())
}

/// Writes an item with its place, where it has one.
fn write_item(text: &mut String, item: &Value<'_>, place: usize) {
    let written = write_members(text, item, |text, name, value| {
        match name {
            "index" => text.push_str(&place.to_string()),
            _ => value.write(text),
        }
        Some(())
    });
    if written.is_none() {
        item.write(text);
    }
}

fn write_share(text: &mut String, value: &Value<'_>, share: &dyn Fn(u64) -> u64) {
    match value.count() {
        Some(count) => text.push_str(&share(count).to_string()),
        None => {
            let written = write_members(text, value, |text, _, value| {
                write_share(text, value, share);
                Some(())
            });
            if written.is_none() {
                value.write(text);
            }
        }
    }
}

fn write_sum(text: &mut String, value: &Value<'_>, others: &[&Value<'_>]) -> Option<()> {
    if let Some(count) = value.count() {
        let counts = others.iter().map(|other| other.count()).collect::<Option<Vec<_>>>()?;
        text.push_str(&counts.into_iter().fold(count, u64::saturating_add).to_string());
        return Some(());
    }
    if !matches!(value, Value::Object(_)) {
        return others.iter().all(|other| *other == value).then(|| value.write(text));
    }
    write_members(text, value, |text, name, value| {
        let others = others.iter().map(|other| other.member(name)).collect::<Option<Vec<_>>>()?;
        write_sum(text, value, &others)
    })
}
