//! A request to a model: which may be answered from the store, and what of it is left out of its key.

use super::{Api, ModelRequest, Wanted, When};
use crate::content::json::Value;
use crate::reason::Reason;

/// Looks at a request, and brings its form into the one that the key has.
///
/// # Errors
/// The reason for which it is not answered from the store.
pub(in crate::content) fn read(api: Api, path: &str, when: When, request: &mut Value<'_>) -> Result<ModelRequest, Reason> {
    if !matches!(request, Value::Object(_)) {
        return Err(Reason::BodyNotKeyed);
    }
    if depends_on_more(api, request) {
        return Err(Reason::Stateful);
    }
    if when == When::Deterministic && api != Api::Embeddings && !is_deterministic(api, request) {
        return Err(Reason::NotDeterministic);
    }
    let streams = streams(api, path, request).ok_or(Reason::BodyNotKeyed)?;
    // Whether it is said or left to the default is all the same for this one.
    request.set("stream", Value::Plain(if streams { "true" } else { "false" }));
    if api == Api::Embeddings {
        make_list(request);
    }
    let with_usage = request.member("stream_options").and_then(|options| options.member("include_usage"));
    Ok(ModelRequest { api, streams, with_usage: with_usage == Some(&Value::Plain("true")) })
}

/// Makes a list of one text that is to be embedded: its answer is the same.
fn make_list(request: &mut Value<'_>) {
    if let Some(input @ Value::String(_)) = request.member_mut("input") {
        let text = std::mem::replace(input, Value::Plain("null"));
        *input = Value::Array(vec![text]);
    }
}

/// Asks for another form of the same answer.
pub(in crate::content) fn set_form(request: &mut Value<'_>, form: Wanted) {
    request.set("stream", Value::Plain(if form == Wanted::Whole { "false" } else { "true" }));
    if form == Wanted::StreamWithUsage && !matches!(request.member("stream_options"), Some(Value::Object(_))) {
        request.set("stream_options", Value::Object(Vec::new()));
    }
    let Some(options) = request.member_mut("stream_options") else { return };
    if form == Wanted::StreamWithUsage {
        options.set("include_usage", Value::Plain("true"));
        return;
    }
    options.take("include_usage");
    if options.is_absent() {
        request.take("stream_options");
    }
}

/// Leaves white space at the end of the last message out: most providers do so before their model sees it.
pub(in crate::content) fn trim(request: &mut Value<'_>) {
    for name in ["messages", "input", "prompt", "contents"] {
        request.member_mut(name).into_iter().for_each(trim_last);
    }
}

/// The last text in it, however deep its API puts that.
fn trim_last(value: &mut Value<'_>) {
    match value {
        Value::String(text) if text.ends_with(char::is_whitespace) => *text = text.trim_end().to_owned().into(),
        Value::Array(items) => items.last_mut().into_iter().for_each(trim_last),
        Value::Object(_) => ["content", "parts", "text"].iter().for_each(|name| value.member_mut(name).into_iter().for_each(trim_last)),
        Value::String(_) | Value::Plain(_) => {}
    }
}

/// `None` where `stream` is no boolean.
fn streams(api: Api, path: &str, request: &Value<'_>) -> Option<bool> {
    if Api::streams_by_path(path) {
        return Some(true);
    }
    match request.member("stream") {
        None | Some(Value::Plain("null")) => Some(api == Api::Ollama),
        Some(Value::Plain("true")) => Some(true),
        Some(Value::Plain("false")) => Some(false),
        Some(_) => None,
    }
}

/// Whether the same answer is asked for each time.
fn is_deterministic(api: Api, request: &Value<'_>) -> bool {
    let options = match api {
        Api::Gemini => request.member("generationConfig").or_else(|| request.member("generation_config")),
        Api::Ollama => request.member("options"),
        _ => Some(request),
    };
    let is_zero = |value: &Value<'_>| value.number().is_some_and(|number| number == 0.0);
    options.is_some_and(|options| {
        options.member("temperature").is_some_and(is_zero) || options.member("seed").is_some_and(|seed| seed.number().is_some())
    })
}

/// Whether the answer depends on what the provider keeps of a conversation, or on what its own tools find, or comes later.
fn depends_on_more(api: Api, request: &Value<'_>) -> bool {
    const KEPT: [&str; 7] =
        ["background", "previous_response_id", "conversation", "container", "mcp_servers", "web_search_options", "context_management"];
    let says = |name: &str| request.member(name).is_some_and(|value| !value.is_absent());
    KEPT.iter().any(|name| says(name)) || request.member("tools").is_some_and(|tools| has_hosted_tools(api, tools))
}

/// Tools that the provider runs by itself. Those of the client have a place in the request, with all that they say.
fn has_hosted_tools(api: Api, tools: &Value<'_>) -> bool {
    /// Anthropic's, which its clients run.
    const OF_CLIENTS: [&str; 4] = ["bash_", "text_editor_", "computer_", "memory_"];
    let is_hosted = |tool: &Value<'_>| match (api, tool.member("type").and_then(Value::text)) {
        (Api::Gemini, _) => !tool.has_only(&["functionDeclarations", "function_declarations"]),
        (Api::Messages, None) | (_, Some("function" | "custom")) => false,
        (Api::Messages, Some(kind)) => !OF_CLIENTS.iter().any(|known| kind.starts_with(known)),
        _ => true,
    };
    !tools.is_absent() && tools.items().is_none_or(|tools| tools.iter().any(is_hosted))
}
