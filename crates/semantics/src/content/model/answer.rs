//! The answer of a model: whether it may be given again, and what it has cost.

use super::chunks::Chunks;
use super::events::{Event, Events, JsonLines};
use super::{Api, ModelRequest};
use crate::content::json::Value;

/// Bytes of the longest answer in one piece whose cost is read while it passes.
const MAX_JSON: usize = 8 << 20;

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

impl AnswerForm {
    /// The form of an answer with this media type; `None` where no API has it.
    pub fn of_type(essence: &str) -> Option<Self> {
        match essence {
            "application/json" => Some(Self::Json),
            "text/event-stream" => Some(Self::Events),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some(Self::Lines),
            _ => None,
        }
    }
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
    let mut meter = Meter::new(request.api, form);
    if form == AnswerForm::Json {
        meter.is_read = read_json(&mut meter.chunks, answer).is_some();
    } else {
        meter.see(answer);
    }
    meter.finish(finish)
}

/// Reads an answer while it passes.
#[derive(Debug)]
pub struct Meter {
    pieces: Pieces,
    chunks: Chunks,
    /// Whether everything could be read so far, and nothing in it says that it failed.
    is_read: bool,
}

#[derive(Debug)]
enum Pieces {
    Json(Vec<u8>),
    Events(Events),
    Lines(JsonLines),
}

impl Meter {
    /// Reads an answer of an API that comes in this form.
    pub fn new(api: Api, form: AnswerForm) -> Self {
        let pieces = match form {
            AnswerForm::Json => Pieces::Json(Vec::new()),
            AnswerForm::Events => Pieces::Events(Events::default()),
            AnswerForm::Lines => Pieces::Lines(JsonLines::default()),
        };
        Self { pieces, chunks: Chunks::new(api, form), is_read: true }
    }

    /// The next bytes. No more is held of them than the event or the line that has not ended yet, and of one JSON text 8 MiB.
    pub fn see(&mut self, data: &[u8]) {
        if !self.is_read {
            return;
        }
        let chunks = &mut self.chunks;
        let seen = match &mut self.pieces {
            Pieces::Json(text) => {
                text.extend_from_slice(data);
                (text.len() <= MAX_JSON).then_some(())
            }
            Pieces::Events(events) => events.see(data, |event| take_event(chunks, &event)),
            Pieces::Lines(lines) => lines.see(data, |line| chunks.add(&Value::parse(line.as_bytes())?)),
        };
        self.is_read = seen.is_some();
        if !self.is_read {
            // What failed is not read any further.
            self.pieces = Pieces::Json(Vec::new());
        }
    }

    /// What the whole answer comes to.
    pub fn finish(mut self, finish: &[String]) -> Judged {
        let chunks = &mut self.chunks;
        let is_whole = match &self.pieces {
            Pieces::Json(text) if text.is_empty() => true,
            Pieces::Json(text) => read_json(chunks, text).is_some(),
            Pieces::Events(events) => events.is_whole(),
            Pieces::Lines(lines) if lines.rest().is_empty() => true,
            Pieces::Lines(lines) => Value::parse(lines.rest()).and_then(|line| chunks.add(&line)).is_some(),
        };
        let is_fit = self.is_read && is_whole && chunks.is_finished(finish);
        Judged { is_fit, usage: self.chunks.usage, model: self.chunks.model }
    }
}

fn read_json(chunks: &mut Chunks, answer: &[u8]) -> Option<()> {
    match Value::parse(answer)? {
        // Gemini streams one list where it is not asked for events.
        Value::Array(items) if chunks.api == Api::Gemini => items.iter().try_for_each(|item| chunks.add(item)),
        whole => chunks.add(&whole),
    }
}

fn take_event(chunks: &mut Chunks, event: &Event) -> Option<()> {
    if event.kind == "error" {
        return None;
    }
    if event.data == "[DONE]" {
        chunks.is_done = true;
        return Some(());
    }
    chunks.add(&Value::parse(event.data.as_bytes())?)
}
