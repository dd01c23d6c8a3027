//! OpenAI's chat completions: one completion as the chunks of a stream, and a stream without its cost.

use super::chat::TEXTS;
use super::{Event, is_null, null, number, put_event};
use crate::content::json::Value;

/// Writes the chunks of one completion.
struct Chunks<'a> {
    text: String,
    /// Members that every chunk has.
    common: Value<'a>,
    with_usage: bool,
}

/// The stream of a completion.
pub(super) fn of_whole(whole: &Value<'_>, with_usage: bool) -> Option<String> {
    let is_known = whole.has_only(&["id", "object", "created", "model", "system_fingerprint", "service_tier", "choices", "usage"]);
    let usage = whole.member("usage").filter(|usage| !is_null(Some(usage)));
    if !is_known || whole.text_at("object") != Some("chat.completion") || (with_usage && usage.is_none()) {
        return None;
    }
    let mut common = whole.copy();
    ["usage", "choices"].iter().for_each(|name| common.take(name));
    common.set("object", Value::string("chat.completion.chunk"));
    let mut chunks = Chunks { text: String::new(), common, with_usage };
    whole.member("choices")?.items()?.iter().try_for_each(|choice| chunks.put_choice(choice))?;
    if let Some(usage) = usage.filter(|_| with_usage) {
        chunks.put(Vec::new(), usage.copy());
    }
    chunks.text.push_str("data: [DONE]\n\n");
    Some(chunks.text)
}

impl<'a> Chunks<'a> {
    fn put_choice(&mut self, choice: &Value<'a>) -> Option<()> {
        let message = choice.member("message")?;
        let index = choice.member("index")?;
        let is_empty = |name| message.member(name).is_none_or(Value::is_absent);
        let is_known = choice.has_only(&["index", "message", "logprobs", "finish_reason"])
            && message.has_only(&[
                "role",
                "content",
                "reasoning_content",
                "reasoning",
                "refusal",
                "annotations",
                "audio",
                "function_call",
                "tool_calls",
            ])
            && ["refusal", "annotations", "audio", "function_call"].into_iter().all(is_empty);
        if !is_known {
            return None;
        }
        let content = message.member("content").filter(|content| !is_null(Some(content)));
        let first = content.map_or_else(null, |_| Value::string(""));
        let mut delta = Value::object([("role", message.member("role")?.copy()), ("content", first)]);
        if message.member("refusal").is_some() {
            delta.set("refusal", null());
        }
        self.put_delta(index, delta, null(), null());
        let logprobs = choice.member("logprobs").map_or_else(null, Value::copy);
        // What reasons comes before what is said; the probabilities are those of what is said.
        for name in TEXTS.into_iter().rev() {
            let Some(piece) = message.member(name).filter(|piece| !is_null(Some(piece))) else { continue };
            let is_content = name == "content";
            piece.text()?;
            self.put_delta(index, Value::object([(name, piece.copy())]), if is_content { logprobs.copy() } else { null() }, null());
        }
        if content.is_none() && !is_null(Some(&logprobs)) {
            return None;
        }
        for (place, call) in message.member("tool_calls").and_then(Value::items).unwrap_or_default().iter().enumerate() {
            let function = call.member("function")?;
            if call.text_at("type") != Some("function")
                || !call.has_only(&["id", "type", "function"])
                || !function.has_only(&["name", "arguments"])
            {
                return None;
            }
            let mut call = call.copy();
            call.set("index", number(place)?);
            self.put_delta(index, Value::object([("tool_calls", Value::Array(vec![call]))]), null(), null());
        }
        self.put_delta(index, Value::Object(Vec::new()), null(), choice.member("finish_reason")?.copy());
        Some(())
    }

    fn put_delta(&mut self, index: &Value<'a>, delta: Value<'a>, logprobs: Value<'a>, finish: Value<'a>) {
        let choice = Value::object([("index", index.copy()), ("delta", delta), ("logprobs", logprobs), ("finish_reason", finish)]);
        self.put(vec![choice], null());
    }

    fn put(&mut self, choices: Vec<Value<'a>>, usage: Value<'a>) {
        let mut chunk = self.common.copy();
        chunk.set("choices", Value::Array(choices));
        if self.with_usage {
            chunk.set("usage", usage);
        }
        put_event(&mut self.text, &chunk);
    }
}

/// The same stream, as it is for who does not ask for its cost.
pub(super) fn without_usage(events: &[Event]) -> Option<String> {
    let mut text = String::new();
    for event in events {
        if event.data == "[DONE]" {
            text.push_str("data: [DONE]\n\n");
            continue;
        }
        let mut chunk = Value::parse(event.data.as_bytes()).filter(|_| event.kind.is_empty())?;
        let has_choices = !chunk.member("choices")?.items()?.is_empty();
        // A server that tells its cost in another place may do so unasked.
        if has_choices && !is_null(chunk.member("usage")) {
            return None;
        }
        chunk.take("usage");
        if has_choices {
            put_event(&mut text, &chunk);
        }
    }
    Some(text)
}
