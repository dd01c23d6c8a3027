//! Anthropic's messages: the events of a stream as one message.

use super::number;
use crate::content::json::Value;

/// The message that these events make up.
pub(super) fn whole_of(events: &[Value<'_>]) -> Option<String> {
    let (mut message, mut blocks, mut is_done) = (None, Blocks::default(), false);
    for event in events {
        if is_done {
            return None;
        }
        match (event.text_at("type")?, &mut message) {
            ("ping", _) => {}
            ("message_start", message @ None) => *message = Some(started(event)?),
            ("content_block_start", Some(_)) => blocks.begin(event)?,
            ("content_block_delta", Some(_)) => blocks.add(event)?,
            ("content_block_stop", Some(_)) => blocks.end(event)?,
            ("message_delta", Some(message)) => add_to_message(message, event)?,
            ("message_stop", Some(_)) => is_done = true,
            _ => return None,
        }
    }
    let Blocks { done, inputs, open } = blocks;
    let mut message = message.filter(|_| is_done && open.is_none())?;
    // An input is JSON text that arrived in pieces.
    let content = done.into_iter().zip(&inputs).map(|(mut block, input)| {
        if let Some(text) = input {
            block.set("input", Value::parse(text.as_bytes()).filter(|input| matches!(input, Value::Object(_)))?);
        }
        Some(block)
    });
    message.set("content", Value::Array(content.collect::<Option<_>>()?));
    Some(message.to_json())
}

fn started<'a>(event: &Value<'a>) -> Option<Value<'a>> {
    let message = event.member("message").filter(|_| event.has_only(&["type", "message"]))?;
    message.member("content")?.items().filter(|content| content.is_empty()).map(|_| message.copy())
}

fn add_to_message<'a>(message: &mut Value<'a>, event: &Value<'a>) -> Option<()> {
    if !event.has_only(&["type", "delta", "usage"]) || !event.member("delta")?.has_only(&["stop_reason", "stop_sequence"]) {
        return None;
    }
    for name in ["stop_reason", "stop_sequence"] {
        event.member("delta")?.member(name).into_iter().for_each(|value| message.set(name, value.copy()));
    }
    let (Value::Object(counts), Some(usage)) = (event.member("usage")?, message.member_mut("usage")) else { return None };
    counts.iter().for_each(|(name, count)| usage.put(name.clone(), count.copy()));
    Some(())
}

/// The blocks of the content so far.
#[derive(Default)]
struct Blocks<'a> {
    done: Vec<Value<'a>>,
    /// The texts of the inputs of calls, one for each block; `None` for one that is there as a whole.
    inputs: Vec<Option<String>>,
    open: Option<Open<'a>>,
}

/// A block that has not ended.
struct Open<'a> {
    block: Value<'a>,
    text: String,
    signature: String,
    input: String,
}

impl<'a> Blocks<'a> {
    fn is_next(&self, event: &Value<'_>) -> bool {
        number(self.done.len()).as_ref() == event.member("index")
    }

    fn begin(&mut self, event: &Value<'a>) -> Option<()> {
        let block = event.member("content_block")?;
        let is_known = match block.text_at("type")? {
            "text" => block.has_only(&["type", "text", "citations"]) && block.member("citations").is_none_or(Value::is_absent),
            "thinking" => block.has_only(&["type", "thinking", "signature"]),
            "redacted_thinking" => block.has_only(&["type", "data"]),
            "tool_use" => block.has_only(&["type", "id", "name", "input", "caller"]) && block.member("input").is_some_and(Value::is_absent),
            _ => false,
        };
        if !is_known || self.open.is_some() || !self.is_next(event) {
            return None;
        }
        let of = |name| block.text_at(name).unwrap_or_default().to_owned();
        let (text, signature) = (of("text") + &of("thinking"), of("signature"));
        self.open = Some(Open { block: block.copy(), text, signature, input: String::new() });
        Some(())
    }

    fn add(&mut self, event: &Value<'a>) -> Option<()> {
        if !self.is_next(event) {
            return None;
        }
        let open = self.open.as_mut()?;
        let (delta, kind) = (event.member("delta")?, open.block.text_at("type")?);
        let (name, text) = match (delta.text_at("type")?, kind) {
            ("text_delta", "text") => ("text", &mut open.text),
            ("thinking_delta", "thinking") => ("thinking", &mut open.text),
            ("signature_delta", "thinking") => ("signature", &mut open.signature),
            ("input_json_delta", "tool_use") => ("partial_json", &mut open.input),
            _ => return None,
        };
        text.push_str(delta.text_at(name).filter(|_| delta.has_only(&["type", name]))?);
        Some(())
    }

    fn end(&mut self, event: &Value<'a>) -> Option<()> {
        if !self.is_next(event) {
            return None;
        }
        let Open { mut block, text, signature, input } = self.open.take()?;
        let input = match block.text_at("type")? {
            "text" => {
                block.set("text", Value::string(text));
                None
            }
            "thinking" => {
                block.set("thinking", Value::string(text));
                block.set("signature", Value::string(signature));
                None
            }
            _ => Some(input).filter(|input| !input.is_empty()),
        };
        self.done.push(block);
        self.inputs.push(input);
        Some(())
    }
}
