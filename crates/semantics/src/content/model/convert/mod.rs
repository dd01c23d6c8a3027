//! The answer to a request that differs in the form only: one text instead of a stream, a stream instead of one text.
//!
//! A conversion is exact, or there is none: whoever puts the pieces of a stream together has what one text would have said. A member, a kind of content or
//! an order of events that is not known here may mean anything, so an answer that has one is not converted.

mod chat;
mod chat_stream;
mod messages;
mod messages_stream;
mod responses;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use super::events::{Event, Events};
use super::{AnswerForm, Api, ModelRequest};
use crate::content::json::Value;

/// The form in which an answer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::content) enum Wanted {
    /// One text.
    Whole,
    /// Piece by piece.
    Stream,
    /// Piece by piece, with what it has cost at the end (`stream_options.include_usage`).
    StreamWithUsage,
}

impl Wanted {
    /// The form that a request asks for.
    pub(in crate::content) fn of(request: ModelRequest) -> Self {
        match request {
            ModelRequest { streams: false, .. } => Self::Whole,
            ModelRequest { api: Api::Chat, with_usage: true, .. } => Self::StreamWithUsage,
            _ => Self::Stream,
        }
    }

    /// The forms that an API has, those first from which most can be made.
    pub(in crate::content) fn of_api(api: Api) -> &'static [Self] {
        match api {
            Api::Chat => &[Self::StreamWithUsage, Self::Whole, Self::Stream],
            Api::Responses | Api::Messages => &[Self::Whole, Self::Stream],
            _ => &[],
        }
    }
}

/// An answer as it was given to a request for another form; `None` where that is not exactly what this request would have got.
pub fn convert(request: ModelRequest, form: AnswerForm, answer: &[u8]) -> Option<Vec<u8>> {
    let converted = match (form, request.streams) {
        (AnswerForm::Json, true) => {
            let answer = Value::parse(answer)?;
            match request.api {
                Api::Chat => chat_stream::of_whole(&answer, request.with_usage),
                Api::Responses => responses::stream_of(&answer),
                Api::Messages => messages_stream::of_whole(&answer),
                _ => None,
            }
        }
        (AnswerForm::Events, false) => {
            let events = events_of(answer)?;
            match request.api {
                Api::Chat => chat::whole_of(&chunks(&events)?),
                Api::Responses => responses::whole_of(&chunks(&events)?),
                Api::Messages => messages::whole_of(&chunks(&events)?),
                _ => None,
            }
        }
        (AnswerForm::Events, true) if request.api == Api::Chat && !request.with_usage => chat_stream::without_usage(&events_of(answer)?),
        _ => None,
    };
    converted.map(String::into_bytes)
}

fn events_of(answer: &[u8]) -> Option<Vec<Event>> {
    let (mut events, mut all) = (Events::default(), Vec::new());
    events.see(answer, |event| {
        all.push(event);
        Some(())
    })?;
    events.is_whole().then_some(all)
}

/// The data of the events, without the mark behind the last.
fn chunks(events: &[Event]) -> Option<Vec<Value<'_>>> {
    events.iter().filter(|event| event.data != "[DONE]").map(|event| Value::parse(event.data.as_bytes())).collect()
}

/// Appends an event without a type.
fn put_event(text: &mut String, data: &Value<'_>) {
    text.push_str("data: ");
    data.write(text);
    text.push_str("\n\n");
}

/// Appends an event whose data names its type too.
fn put_named_event(text: &mut String, data: &Value<'_>) {
    text.push_str("event: ");
    text.push_str(data.text_at("type").unwrap_or_default());
    text.push('\n');
    put_event(text, data);
}

fn null<'a>() -> Value<'a> {
    Value::Plain("null")
}

/// A small number, as the place of something has; `None` where it is none.
fn number<'a>(number: usize) -> Option<Value<'a>> {
    static NUMBERS: LazyLock<Vec<String>> = LazyLock::new(|| (0..4096).map(|number| number.to_string()).collect());
    NUMBERS.get(number).map(|text| Value::Plain(text))
}

/// Whether a value is `null`, or not there.
fn is_null(value: Option<&Value<'_>>) -> bool {
    value.is_none_or(|value| *value == Value::Plain("null"))
}

/// Sets a member to its only value so far; `None` where two differ.
fn agree<'a>(known: &mut Option<Value<'a>>, value: Option<&Value<'a>>) -> Option<()> {
    let Some(value) = value else { return Some(()) };
    match known {
        Some(known) => (known == value).then_some(()),
        None => {
            *known = Some(value.copy());
            Some(())
        }
    }
}
