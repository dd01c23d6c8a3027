//! Anthropic's messages: one message as the events of a stream.

use super::{null, number, put_named_event};
use crate::content::json::Value;

/// The stream of a message.
pub(super) fn of_whole(whole: &Value<'_>) -> Option<String> {
    const KNOWN: [&str; 8] = ["id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"];
    if !whole.has_only(&KNOWN) || whole.text_at("type") != Some("message") {
        return None;
    }
    let usage = whole.member("usage").filter(|usage| usage.member("output_tokens").is_some())?;
    let mut begun = whole.copy();
    begun.set("content", Value::Array(Vec::new()));
    ["stop_reason", "stop_sequence"].iter().for_each(|name| begun.set(name, null()));
    if let Some(usage) = begun.member_mut("usage") {
        usage.set("output_tokens", Value::Plain("0"));
    }
    let mut text = String::new();
    let mut put = |kind: &'static str, members: Vec<(&'static str, Value<'_>)>| {
        let mut event = Value::object(members);
        event.set("type", Value::string(kind));
        put_named_event(&mut text, &event);
    };
    put("message_start", vec![("message", begun)]);
    let content = whole.member("content")?.items()?;
    // An input arrives as JSON text.
    let inputs: Vec<String> = content.iter().map(|block| block.member("input").map(Value::to_json).unwrap_or_default()).collect();
    for ((place, block), input) in content.iter().enumerate().zip(&inputs) {
        let (empty, deltas) = pieces_of(block, input)?;
        put("content_block_start", vec![("index", number(place)?), ("content_block", empty)]);
        for (kind, name, piece) in deltas {
            let delta = Value::object([("type", Value::string(kind)), (name, Value::string(piece))]);
            put("content_block_delta", vec![("index", number(place)?), ("delta", delta)]);
        }
        put("content_block_stop", vec![("index", number(place)?)]);
    }
    let end = ["stop_reason", "stop_sequence"].map(|name| (name, whole.member(name).map_or_else(null, Value::copy)));
    put("message_delta", vec![("delta", Value::object(end)), ("usage", usage.copy())]);
    put("message_stop", Vec::new());
    Some(text)
}

/// A piece of a block: the type of its delta, the member that has it, and its text.
type Delta<'t> = (&'static str, &'static str, &'t str);

/// A block as it begins, and the pieces that make it up.
fn pieces_of<'v, 't>(block: &'t Value<'v>, input: &'t str) -> Option<(Value<'v>, Vec<Delta<'t>>)> {
    let mut empty = block.copy();
    let deltas = match block.text_at("type")? {
        "text" if block.has_only(&["type", "text", "citations"]) && block.member("citations").is_none_or(Value::is_absent) => {
            empty.set("text", Value::string(""));
            vec![("text_delta", "text", block.text_at("text")?)]
        }
        "thinking" if block.has_only(&["type", "thinking", "signature"]) => {
            ["thinking", "signature"].iter().for_each(|name| empty.set(name, Value::string("")));
            vec![("thinking_delta", "thinking", block.text_at("thinking")?), ("signature_delta", "signature", block.text_at("signature")?)]
        }
        "redacted_thinking" if block.has_only(&["type", "data"]) => Vec::new(),
        "tool_use"
            if block.has_only(&["type", "id", "name", "input", "caller"]) && matches!(block.member("input"), Some(Value::Object(_))) =>
        {
            empty.set("input", Value::Object(Vec::new()));
            vec![("input_json_delta", "partial_json", input)]
        }
        _ => return None,
    };
    Some((empty, deltas.into_iter().filter(|(_, _, piece)| !piece.is_empty()).collect()))
}
