//! The answer of a model: whether it may be given again, and what it has cost.

use super::chunks::Chunks;
use super::{Api, ModelRequest, events};
use crate::content::json::Value;

/// The form in which an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerForm {
    /// One JSON text.
    Json,
    /// `text/event-stream`.
    Events,
    /// A JSON text a line (`application/x-ndjson`).
    Lines,
}

/// Tokens, as the provider has counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Of the request, those that were read from the provider's own cache included.
    pub input: u64,
    /// Of the answer, reasoning included.
    pub output: u64,
}

impl Usage {
    /// All of them.
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// What an answer comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judged {
    /// Whether it may be stored: it is whole, has no error in it, and has ended in one of the ways that are wanted.
    pub is_fit: bool,
    /// Its cost, where it says so.
    pub usage: Option<Usage>,
    /// The name of the model that has answered.
    pub model: Option<String>,
}

/// Judges a whole answer with status 200. `finish` has the ends that are wanted, in the words of [`super::finish_word`].
pub fn judge(request: ModelRequest, form: AnswerForm, finish: &[String], answer: &[u8]) -> Judged {
    let mut chunks = Chunks::new(request.api, form);
    let is_read = match form {
        AnswerForm::Json => read_json(&mut chunks, answer),
        AnswerForm::Events => read_events(&mut chunks, answer),
        AnswerForm::Lines => read_lines(&mut chunks, answer),
    };
    let is_fit = is_read.is_some() && chunks.is_finished(finish);
    Judged { is_fit, usage: chunks.usage, model: chunks.model }
}

fn read_json(chunks: &mut Chunks, answer: &[u8]) -> Option<()> {
    match Value::parse(answer)? {
        // Gemini streams one list where it is not asked for events.
        Value::Array(items) if chunks.api == Api::Gemini => items.iter().try_for_each(|item| chunks.add(item)),
        whole => chunks.add(&whole),
    }
}

fn read_events(chunks: &mut Chunks, answer: &[u8]) -> Option<()> {
    for event in events::of_stream(answer)? {
        if event.kind == "error" {
            return None;
        }
        if event.data == "[DONE]" {
            chunks.is_done = true;
            continue;
        }
        chunks.add(&Value::parse(event.data.as_bytes())?)?;
    }
    Some(())
}

fn read_lines(chunks: &mut Chunks, answer: &[u8]) -> Option<()> {
    events::json_lines(answer).try_for_each(|line| chunks.add(&Value::parse(line)?))
}
