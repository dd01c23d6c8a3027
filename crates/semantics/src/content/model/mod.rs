//! Requests to language models and their answers: OpenAI's APIs and those that are compatible with them, Anthropic's, Gemini's and Ollama's.
//!
//! ```text
//! path ──Api::of_path──> which API ──request──> passes | deterministic, so keyed by every member but those without effect
//!                            │
//!                            `──answer──> fit to be stored, and what it has cost (usage) | unfit: failed, refused, cut
//! ```
//!
//! A request is keyed by all that may change its answer: a member that is not known is one of them. An answer is stored only where it says itself that it
//! is finished, in its API's own words.

mod answer;
mod chunks;
mod convert;
mod events;
mod request;
mod saved;
#[cfg(test)]
mod tests;

pub use answer::{AnswerForm, Judged, Meter, Usage, judge};
pub(super) use convert::Wanted;
pub use convert::convert;
pub(super) use request::{read, set_form, trim};
pub use saved::{USAGE_SAVED, plain_name, read_saved, saved_field};

/// Members of requests that do not change answers, as far as providers document them.
pub(super) const WITHOUT_EFFECT: [&str; 9] = [
    "keep_alive",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
];

/// Fields of requests that choose a version or an account of an API.
pub(super) const FIELDS: [&str; 5] = ["anthropic-beta", "anthropic-version", "openai-beta", "openai-organization", "openai-project"];

/// Fields of requests that have credentials for these APIs.
pub const CREDENTIALS: [&str; 4] = ["authorization", "x-api-key", "x-goog-api-key", "api-key"];

/// The parameter of the query that has Gemini's.
pub const CREDENTIAL_PARAMETER: &str = "key";

/// Fields of answers that are about one request, its account or the state of the service; one `*` stands for any text.
pub const UNSTORED_FIELDS: [&str; 12] = [
    "x-ratelimit-*",
    "anthropic-ratelimit-*",
    "ratelimit*",
    "retry-after*",
    "x-should-retry",
    "request-id",
    "x-request-id",
    "apim-request-id",
    "x-ms-*",
    "openai-processing-ms",
    "x-envoy-*",
    "cf-ray",
];

/// A kind of API, told by the end of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Api {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's completions of a text.
    Completions,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
    /// Gemini's `generateContent` and `streamGenerateContent`.
    Gemini,
    /// Ollama's `chat` and `generate`.
    Ollama,
    /// Embeddings of any of them.
    Embeddings,
    /// Another one, of whose answers nothing is known but the names that others have for their cost. No path has it.
    Unknown,
}

/// What of a request bears on its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelRequest {
    /// The API.
    pub api: Api,
    /// Whether the answer is asked for piece by piece.
    pub streams: bool,
    /// Whether such an answer is to tell its cost at its end, where that is not told in any case.
    pub with_usage: bool,
}

impl Api {
    /// The API that is asked under a path; `None` for other things, such as lists of models.
    pub fn of_path(path: &str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let (before, last) = path.rsplit_once('/')?;
        let parent = before.rsplit('/').next().unwrap_or_default();
        Some(match last.rsplit_once(':').map_or(last, |(_, action)| action) {
            "generateContent" | "streamGenerateContent" => Self::Gemini,
            "embedContent" | "batchEmbedContents" | "embeddings" => Self::Embeddings,
            "rawPredict" | "streamRawPredict" | "messages" => Self::Messages,
            "completions" if parent == "chat" => Self::Chat,
            "completions" => Self::Completions,
            "responses" => Self::Responses,
            "chat" | "generate" if parent == "api" => Self::Ollama,
            "embed" if parent == "api" => Self::Embeddings,
            _ => return None,
        })
    }

    /// Whether the path of a request asks for the answer piece by piece.
    fn streams_by_path(path: &str) -> bool {
        path.ends_with(":streamGenerateContent") || path.ends_with(":streamRawPredict")
    }
}

/// Which requests to models are answered from the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// Those that ask for the same answer each time: a temperature of 0 or a seed is written out. What a default is, is the provider's to change.
    #[default]
    Deterministic,
    /// All.
    Always,
}

/// The word for the end of an answer in OpenAI's chat completions, for that of another API.
pub fn finish_word(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "end_turn" | "stop_sequence" | "completed" => "stop".to_owned(),
        "tool_use" | "function_call" => "tool_calls".to_owned(),
        "max_tokens" | "max_output_tokens" | "incomplete" => "length".to_owned(),
        _ => lower,
    }
}
