//! What the chunks of an answer say, one after the other: a whole answer is one chunk.

use std::collections::BTreeMap;

use super::{AnswerForm, Api, Usage, finish_word};
use crate::content::json::Value;

/// Anthropic's tokens of a request: new ones, and those that its own cache takes and has.
const INPUT: [&str; 3] = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];

/// An answer so far.
#[derive(Debug)]
pub(super) struct Chunks {
    pub(super) api: Api,
    form: AnswerForm,
    /// How each of the answers in it has ended, by its number; `None`: not yet.
    ends: BTreeMap<String, Option<String>>,
    /// Whether the mark behind the last chunk is there.
    pub(super) is_done: bool,
    pub(super) usage: Option<Usage>,
    pub(super) model: Option<String>,
}

impl Chunks {
    pub(super) fn new(api: Api, form: AnswerForm) -> Self {
        Self { api, form, ends: BTreeMap::new(), is_done: false, usage: None, model: None }
    }

    /// Takes the next chunk. `None` where it says that something failed, was refused, or follows the end.
    pub(super) fn add(&mut self, chunk: &Value<'_>) -> Option<()> {
        let fails = chunk.member("error").is_some_and(|error| !error.is_absent()) || chunk.text_at("type") == Some("error");
        if fails || self.is_done || !matches!(chunk, Value::Object(_)) {
            return None;
        }
        if let Some(model) = chunk.text_at("model").or_else(|| chunk.text_at("modelVersion")) {
            self.model = Some(model.to_owned());
        }
        match self.api {
            Api::Chat | Api::Completions => self.add_choices(chunk),
            Api::Responses => self.add_response(chunk),
            Api::Messages => self.add_message(chunk),
            Api::Gemini => self.add_candidates(chunk),
            Api::Ollama => self.add_ollama(chunk),
            Api::Embeddings => self.add_embeddings(chunk),
            Api::Unknown => {
                self.add_unknown(chunk);
                Some(())
            }
        }
    }

    /// Whether all answers in it have ended in a way that is wanted, and the mark of the end is there where the form has one.
    pub(super) fn is_finished(&self, finish: &[String]) -> bool {
        let has_mark = match (self.form, self.api) {
            (AnswerForm::Events, Api::Chat | Api::Completions | Api::Responses | Api::Messages) => self.is_done,
            _ => true,
        };
        let is_wanted = |end: &Option<String>| end.as_ref().is_some_and(|end| finish.contains(end));
        has_mark && !self.ends.is_empty() && (self.api == Api::Embeddings || self.ends.values().all(is_wanted))
    }

    fn end(&mut self, number: &str, word: Option<&str>) {
        let end = self.ends.entry(number.to_owned()).or_default();
        if let Some(word) = word {
            *end = Some(finish_word(word));
        }
    }

    fn add_choices(&mut self, chunk: &Value<'_>) -> Option<()> {
        self.take_usage(chunk.member("usage"), &["prompt_tokens"], &["completion_tokens"]);
        for choice in chunk.member("choices")?.items()? {
            let said = choice.member("message").or_else(|| choice.member("delta"));
            if said.and_then(|said| said.member("refusal")).is_some_and(|refusal| !refusal.is_absent()) {
                return None;
            }
            self.end(&choice.label("index"), choice.text_at("finish_reason"));
        }
        Some(())
    }

    fn add_response(&mut self, chunk: &Value<'_>) -> Option<()> {
        let kind = chunk.text_at("type").filter(|_| self.form == AnswerForm::Events);
        let response = match kind {
            None => chunk,
            Some("response.completed") => {
                self.is_done = true;
                chunk.member("response")?
            }
            // It is kept for nobody, and was paid for.
            Some("response.failed" | "response.incomplete") => {
                self.add_response_usage(chunk.member("response")?);
                return None;
            }
            Some(_) => return Some(()),
        };
        self.add_response_usage(response);
        let is_good = |name| response.member(name).is_none_or(Value::is_absent);
        let output = response.member("output")?.items().filter(|output| !output.is_empty())?;
        let of_kind = |item: &Value<'_>, kind: &str| item.text_at("type") == Some(kind);
        let refuses = |item: &Value<'_>| {
            item.member("content").and_then(Value::items).is_some_and(|parts| parts.iter().any(|part| of_kind(part, "refusal")))
        };
        if !is_good("error") || !is_good("incomplete_details") || output.iter().any(refuses) {
            return None;
        }
        let calls = output.iter().any(|item| of_kind(item, "function_call") || of_kind(item, "custom_tool_call"));
        let status = response.text_at("status")?;
        self.end("", Some(if calls && status == "completed" { "tool_calls" } else { status }));
        Some(())
    }

    fn add_response_usage(&mut self, response: &Value<'_>) {
        self.take_usage(response.member("usage"), &["input_tokens"], &["output_tokens"]);
        if let Some(model) = response.text_at("model") {
            self.model = Some(model.to_owned());
        }
    }

    fn add_message(&mut self, chunk: &Value<'_>) -> Option<()> {
        if self.form != AnswerForm::Events {
            let content = chunk.member("content")?.items()?;
            self.take_usage(chunk.member("usage"), &INPUT, &["output_tokens"]);
            self.end("", chunk.text_at("stop_reason").filter(|_| !content.is_empty()));
            return Some(());
        }
        match chunk.text_at("type")? {
            "message_start" => {
                let message = chunk.member("message")?;
                self.take_usage(message.member("usage"), &INPUT, &["output_tokens"]);
                self.model = message.text_at("model").map(str::to_owned).or(self.model.take());
            }
            "message_delta" => {
                self.take_usage(chunk.member("usage"), &INPUT, &["output_tokens"]);
                self.end("", chunk.member("delta").and_then(|delta| delta.text_at("stop_reason")));
            }
            "message_stop" => self.is_done = true,
            _ => {}
        }
        Some(())
    }

    fn add_candidates(&mut self, chunk: &Value<'_>) -> Option<()> {
        let usage = chunk.member("usageMetadata").or_else(|| chunk.member("usage_metadata"));
        self.take_usage(usage, &["promptTokenCount"], &["candidatesTokenCount", "thoughtsTokenCount"]);
        let blocks = |feedback: &Value<'_>| feedback.member("blockReason").is_some_and(|reason| !reason.is_absent());
        if chunk.member("promptFeedback").is_some_and(blocks) {
            return None;
        }
        for candidate in chunk.member("candidates").and_then(Value::items).unwrap_or_default() {
            let parts = candidate.member("content").and_then(|content| content.member("parts")).and_then(Value::items);
            let calls = parts.unwrap_or_default().iter().any(|part| part.member("functionCall").is_some());
            let number = candidate.label("index");
            self.end(&number, candidate.text_at("finishReason"));
            // What it ends with does not tell that it calls.
            if let Some(Some(end)) = self.ends.get_mut(&number).filter(|_| calls) {
                "tool_calls".clone_into(end);
            }
        }
        Some(())
    }

    fn add_ollama(&mut self, chunk: &Value<'_>) -> Option<()> {
        // Only the last chunk says that it is done.
        if self.ends.get("").is_some_and(Option::is_some) {
            return None;
        }
        self.take_usage(Some(chunk), &["prompt_eval_count"], &["eval_count"]);
        let calls = chunk.member("message").and_then(|message| message.member("tool_calls")).and_then(Value::items);
        if calls.is_some_and(|calls| !calls.is_empty()) {
            self.end("calls", Some("tool_calls"));
        }
        let is_done = chunk.member("done") == Some(&Value::Plain("true"));
        self.end("", chunk.text_at("done_reason").filter(|_| is_done));
        Some(())
    }

    fn add_embeddings(&mut self, chunk: &Value<'_>) -> Option<()> {
        self.take_usage(chunk.member("usage"), &["prompt_tokens"], &[]);
        self.take_usage(Some(chunk), &["prompt_eval_count"], &[]);
        let some = |value: &Value<'_>| value.items().is_some_and(|items| !items.is_empty()) || value.member("values").is_some();
        if ["data", "embeddings", "embedding"].iter().any(|name| chunk.member(name).is_some_and(some)) {
            self.end("", None);
        }
        Some(())
    }

    fn add_unknown(&mut self, chunk: &Value<'_>) {
        for said in [Some(chunk), chunk.member("response"), chunk.member("message")].into_iter().flatten() {
            self.take_usage(said.member("usage"), &["prompt_tokens"], &["completion_tokens"]);
            self.take_usage(said.member("usage"), &INPUT, &["output_tokens"]);
            self.take_usage(said.member("usageMetadata"), &["promptTokenCount"], &["candidatesTokenCount", "thoughtsTokenCount"]);
        }
        self.take_usage(Some(chunk), &["prompt_eval_count"], &["eval_count"]);
    }

    /// Counts are sums so far: the last ones hold.
    fn take_usage(&mut self, usage: Option<&Value<'_>>, input: &[&str], output: &[&str]) {
        let Some(usage) = usage else { return };
        let sum = |names: &[&str]| {
            let counts = names.iter().filter_map(|name| usage.member(name)?.count());
            counts.reduce(u64::saturating_add)
        };
        let (input, output) = (sum(input), sum(output));
        if input.is_none() && output.is_none() {
            return;
        }
        let known = self.usage.unwrap_or_default();
        self.usage = Some(Usage { input: input.unwrap_or(known.input), output: output.unwrap_or(known.output) });
    }
}
