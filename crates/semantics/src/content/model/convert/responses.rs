//! OpenAI's responses: the last event of a stream has the whole response in it, and a response has a place for each event.

use super::{null, number, put_named_event};
use crate::content::json::Value;

/// The response that a stream ends with.
pub(super) fn whole_of(events: &[Value<'_>]) -> Option<String> {
    let last = events.last().filter(|event| event.text_at("type") == Some("response.completed"))?;
    last.member("response").map(Value::to_json)
}

/// Writes the events of a response.
#[derive(Default)]
struct Stream {
    text: String,
    count: usize,
}

/// The events of a response.
pub(super) fn stream_of(whole: &Value<'_>) -> Option<String> {
    if whole.text_at("object") != Some("response") || whole.text_at("status") != Some("completed") {
        return None;
    }
    let mut begun = whole.copy();
    begun.set("status", Value::string("in_progress"));
    begun.set("output", Value::Array(Vec::new()));
    for name in ["usage", "completed_at"] {
        if begun.member(name).is_some() {
            begun.set(name, null());
        }
    }
    let mut stream = Stream::default();
    for kind in ["response.created", "response.in_progress"] {
        stream.put(kind, [("response", begun.copy())])?;
    }
    for (place, item) in whole.member("output")?.items()?.iter().enumerate() {
        stream.put_item(&number(place)?, item)?;
    }
    stream.put("response.completed", [("response", whole.copy())])?;
    Some(stream.text)
}

impl Stream {
    fn put<'a>(&mut self, kind: &'static str, members: impl IntoIterator<Item = (&'static str, Value<'a>)>) -> Option<()> {
        let mut event = Value::object(members);
        event.set("type", Value::string(kind));
        event.set("sequence_number", number(self.count)?);
        self.count += 1;
        put_named_event(&mut self.text, &event);
        Some(())
    }

    fn put_item(&mut self, place: &Value<'_>, item: &Value<'_>) -> Option<()> {
        let mut begun = item.copy();
        if begun.member("status").is_some() {
            begun.set("status", Value::string("in_progress"));
        }
        let is_empty = |name: &str| item.member(name).is_none_or(Value::is_absent);
        match item.text_at("type")? {
            "message" => begun.set("content", Value::Array(Vec::new())),
            "function_call" => begun.set("arguments", Value::string("")),
            "reasoning" if is_empty("summary") && is_empty("content") => {}
            _ => return None,
        }
        self.put("response.output_item.added", [("output_index", place.copy()), ("item", begun)])?;
        match item.text_at("type")? {
            "message" => {
                for (part_place, part) in item.member("content")?.items()?.iter().enumerate() {
                    self.put_part(place, item.member("id")?, &number(part_place)?, part)?;
                }
            }
            "function_call" => {
                let (id, arguments) = (item.member("id")?, item.member("arguments")?);
                let about = || [("item_id", id.copy()), ("output_index", place.copy())];
                self.put("response.function_call_arguments.delta", about().into_iter().chain([("delta", arguments.copy())]))?;
                let name = item.member("name").map(|name| ("name", name.copy()));
                self.put(
                    "response.function_call_arguments.done",
                    about().into_iter().chain([("arguments", arguments.copy())]).chain(name),
                )?;
            }
            _ => {}
        }
        self.put("response.output_item.done", [("output_index", place.copy()), ("item", item.copy())])
    }

    fn put_part(&mut self, place: &Value<'_>, id: &Value<'_>, part_place: &Value<'_>, part: &Value<'_>) -> Option<()> {
        let is_plain = part.text_at("type") == Some("output_text") && part.has_only(&["type", "text", "annotations", "logprobs"]);
        let has_annotations = part.member("annotations").is_some_and(|annotations| !annotations.is_absent());
        if !is_plain || has_annotations {
            return None;
        }
        let text = part.member("text")?;
        let logprobs = part.member("logprobs").map_or_else(|| Value::Array(Vec::new()), Value::copy);
        let mut begun = part.copy();
        begun.set("text", Value::string(""));
        if begun.member("logprobs").is_some() {
            begun.set("logprobs", Value::Array(Vec::new()));
        }
        let about = || [("item_id", id.copy()), ("output_index", place.copy()), ("content_index", part_place.copy())].into_iter();
        self.put("response.content_part.added", about().chain([("part", begun)]))?;
        self.put("response.output_text.delta", about().chain([("delta", text.copy()), ("logprobs", logprobs.copy())]))?;
        self.put("response.output_text.done", about().chain([("text", text.copy()), ("logprobs", logprobs)]))?;
        self.put("response.content_part.done", about().chain([("part", part.copy())]))
    }
}
