//! OpenAI's chat completions: the chunks of a stream as one completion.

use std::collections::BTreeMap;

use super::{agree, is_null, null, number};
use crate::content::json::Value;

/// Members that all chunks have in common.
const COMMON: [&str; 5] = ["id", "created", "model", "system_fingerprint", "service_tier"];

/// Texts of a message that come in pieces; the latter two are those of servers that show how their models reason.
pub(super) const TEXTS: [&str; 3] = ["content", "reasoning_content", "reasoning"];

/// One of the answers so far.
#[derive(Default)]
struct Choice<'a> {
    role: Option<Value<'a>>,
    texts: [Option<String>; TEXTS.len()],
    has_refusal: bool,
    calls: BTreeMap<u64, Call<'a>>,
    logprobs: Option<Vec<Value<'a>>>,
    finish: Option<Value<'a>>,
}

/// A call of a tool so far.
#[derive(Default)]
struct Call<'a> {
    id: Option<Value<'a>>,
    kind: Option<Value<'a>>,
    name: Option<Value<'a>>,
    arguments: String,
}

/// The completion that these chunks make up.
pub(super) fn whole_of(chunks: &[Value<'_>]) -> Option<String> {
    let mut common: [Option<Value<'_>>; COMMON.len()] = Default::default();
    let (mut choices, mut usage) = (BTreeMap::<u64, Choice<'_>>::new(), None);
    for chunk in chunks {
        let is_known =
            chunk.has_only(&["id", "object", "created", "model", "system_fingerprint", "service_tier", "choices", "usage", "obfuscation"]);
        if !is_known || chunk.text_at("object") != Some("chat.completion.chunk") {
            return None;
        }
        for (known, name) in common.iter_mut().zip(COMMON) {
            agree(known, chunk.member(name))?;
        }
        for choice in chunk.member("choices")?.items()? {
            choices.entry(choice.member("index")?.count()?).or_default().add(choice)?;
        }
        if let Some(counted) = chunk.member("usage").filter(|usage| !is_null(Some(usage))) {
            usage = Some(counted.copy());
        }
    }
    let choices = choices.into_iter().map(|(index, choice)| choice.finish(index)).collect::<Option<Vec<_>>>()?;
    let mut whole = Value::object([("object", Value::string("chat.completion")), ("choices", Value::Array(choices)), ("usage", usage?)]);
    for (value, name) in common.into_iter().zip(COMMON) {
        value.into_iter().for_each(|value| whole.set(name, value));
    }
    Some(whole.to_json())
}

impl<'a> Choice<'a> {
    fn add(&mut self, choice: &Value<'a>) -> Option<()> {
        let delta = choice.member("delta")?;
        let is_known = choice.has_only(&["index", "delta", "finish_reason", "logprobs"])
            && delta.has_only(&["role", "content", "reasoning_content", "reasoning", "refusal", "tool_calls"])
            && is_null(delta.member("refusal"));
        if !is_known {
            return None;
        }
        agree(&mut self.role, delta.member("role"))?;
        self.has_refusal |= delta.member("refusal").is_some();
        for (text, name) in self.texts.iter_mut().zip(TEXTS) {
            if let Some(piece) = delta.member(name).filter(|piece| !is_null(Some(piece))) {
                text.get_or_insert_default().push_str(piece.text()?);
            }
        }
        for call in delta.member("tool_calls").and_then(Value::items).unwrap_or_default() {
            self.calls.entry(call.member("index")?.count()?).or_default().add(call)?;
        }
        if let Some(logprobs) = choice.member("logprobs").filter(|logprobs| !is_null(Some(logprobs))) {
            if !logprobs.has_only(&["content", "refusal"]) || !is_null(logprobs.member("refusal")) {
                return None;
            }
            let tokens = logprobs.member("content").and_then(Value::items).unwrap_or_default();
            self.logprobs.get_or_insert_default().extend(tokens.iter().map(Value::copy));
        }
        agree(&mut self.finish, choice.member("finish_reason").filter(|reason| !is_null(Some(reason))))
    }

    fn finish(self, index: u64) -> Option<Value<'a>> {
        let mut message = Value::object([("role", self.role?), ("content", null())]);
        if self.has_refusal {
            message.set("refusal", null());
        }
        for (text, name) in self.texts.into_iter().zip(TEXTS) {
            text.into_iter().for_each(|text| message.set(name, Value::string(text)));
        }
        if !self.calls.is_empty() {
            let is_row = self.calls.keys().copied().eq(0..self.calls.len() as u64);
            let calls = self.calls.into_values().map(Call::finish).collect::<Option<Vec<_>>>().filter(|_| is_row)?;
            message.set("tool_calls", Value::Array(calls));
        }
        let logprobs = self.logprobs.map(|tokens| Value::object([("content", Value::Array(tokens)), ("refusal", null())]));
        Some(Value::object([
            ("index", number(usize::try_from(index).ok()?)?),
            ("message", message),
            ("logprobs", logprobs.unwrap_or_else(null)),
            ("finish_reason", self.finish?),
        ]))
    }
}

impl<'a> Call<'a> {
    fn add(&mut self, call: &Value<'a>) -> Option<()> {
        let is_known = call.has_only(&["index", "id", "type", "function"]);
        let function = call.member("function").filter(|function| is_known && function.has_only(&["name", "arguments"]))?;
        agree(&mut self.id, call.member("id"))?;
        agree(&mut self.kind, call.member("type"))?;
        agree(&mut self.name, function.member("name"))?;
        match function.member("arguments") {
            Some(piece) if !is_null(Some(piece)) => self.arguments.push_str(piece.text()?),
            _ => {}
        }
        Some(())
    }

    fn finish(self) -> Option<Value<'a>> {
        let function = Value::object([("name", self.name?), ("arguments", Value::string(self.arguments))]);
        Some(Value::object([("id", self.id?), ("type", self.kind?), ("function", function)]))
    }
}
