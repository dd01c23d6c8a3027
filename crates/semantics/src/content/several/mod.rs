//! A request for several things of which each could be asked for by itself: the elements of `input` that are to be embedded, the calls of a batch of JSON-RPC.
//!
//! ```text
//! content ──ContentRules::split──> one request for each of its parts ──> those that are stored
//!                                                                   └──> Split::rest: one request for the others ──> Split::cut: one answer for each
//! answers of all parts ──Split::join──> the answer
//! ```
//!
//! Where an answer cannot be cut or joined without a loss, the whole is asked for.

mod calls;
mod inputs;
#[cfg(test)]
mod tests;

use super::json::Value;
use super::keying::forbids_transformation;
use super::{ContentKind, ContentRequest, ContentRules, Keyed};

/// The most parts that a request is split into. OpenAI embeds no more at once.
const MAX_PARTS: usize = 2048;

/// What the parts of a request, or of an answer, may be longer than it all together, in bytes: each has the members that stand beside the list, and the client
/// says how long these are.
const MAX_GROWTH: usize = 1 << 20;

/// Whether a text of this length may be taken apart into so many `parts`, of which each has `shared` bytes that it has once.
fn may_be_parted(length: usize, parts: usize, shared: usize) -> bool {
    shared.saturating_mul(parts) <= MAX_GROWTH.max(length)
}

/// A request of several parts.
#[derive(Debug)]
pub struct Split<'a> {
    form: Form<'a>,
    parts: Vec<Part>,
}

/// One of its parts.
#[derive(Debug)]
#[non_exhaustive]
pub struct Part {
    /// A request for this part alone.
    pub content: Vec<u8>,
    /// The key of that.
    pub keyed: Keyed,
}

#[derive(Debug)]
enum Form<'a> {
    Inputs(inputs::Inputs<'a>),
    Calls(calls::Calls<'a>),
}

impl ContentRules {
    /// Whether a request asks for several things, of which each could be asked for by itself.
    pub fn has_parts(&self, request: &ContentRequest<'_>) -> bool {
        self.form_of(request).is_some()
    }

    /// The parts of a request; `None` where it has one only, or one of them has no key.
    pub fn split<'a>(&self, request: &ContentRequest<'a>) -> Option<Split<'a>> {
        let form = self.form_of(request)?;
        let parts = (0..form.len()).map(|place| {
            let content = match &form {
                Form::Inputs(inputs) => inputs.request(&[place]),
                Form::Calls(calls) => calls.request_alone(place)?,
            };
            let content = content.into_bytes();
            let keyed = self.key(&ContentRequest { content: &content, ..*request }).ok()?;
            Some(Part { content, keyed })
        });
        let parts = parts.collect::<Option<_>>()?;
        Some(Split { form, parts })
    }

    fn form_of<'a>(&self, request: &ContentRequest<'a>) -> Option<Form<'a>> {
        let is_of_one = || request.content.len() > self.max_length || forbids_transformation(request.fields);
        let form = match self.kind {
            ContentKind::Embeddings if !is_of_one() => inputs::Inputs::of(Value::parse(request.content)?).map(Form::Inputs),
            ContentKind::JsonRpc if !is_of_one() => calls::Calls::of(Value::parse(request.content)?).map(Form::Calls),
            _ => None,
        }?;
        let may_be = (2..=MAX_PARTS).contains(&form.len()) && may_be_parted(request.content.len(), form.len(), form.shared());
        may_be.then_some(form)
    }
}

impl Form<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Inputs(inputs) => inputs.len(),
            Self::Calls(calls) => calls.len(),
        }
    }

    /// The bytes that each part has, and the whole has once.
    fn shared(&self) -> usize {
        match self {
            Self::Inputs(inputs) => inputs.request(&[]).len(),
            Self::Calls(_) => 0,
        }
    }
}

impl Split<'_> {
    /// The parts, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// A request for those in these places.
    pub fn rest(&self, places: &[usize]) -> Vec<u8> {
        let text = match &self.form {
            Form::Inputs(inputs) => inputs.request(places),
            Form::Calls(calls) => calls.request(places),
        };
        text.into_bytes()
    }

    /// The answers to the parts in these places, out of the answer to a request for them; `None` where they cannot be told from each other.
    pub fn cut(&self, places: &[usize], answer: &[u8]) -> Option<Vec<Vec<u8>>> {
        let (answer, answer_length) = (Value::parse(answer)?, answer.len());
        let texts = match &self.form {
            Form::Inputs(inputs) => inputs.cut(places, answer_length, &answer),
            Form::Calls(calls) => calls.cut(places, &answer),
        };
        texts.map(|texts| texts.into_iter().map(String::into_bytes).collect())
    }

    /// The answer that these make up, one for each part; `None` where they contradict each other.
    pub fn join(&self, answers: &[impl AsRef<[u8]>]) -> Option<Vec<u8>> {
        let answers = answers.iter().map(|answer| Value::parse(answer.as_ref())).collect::<Option<Vec<_>>>()?;
        let text = match &self.form {
            _ if answers.len() != self.parts.len() => None,
            Form::Inputs(_) => inputs::join(&answers),
            Form::Calls(calls) => calls.join(answers),
        };
        text.map(String::into_bytes)
    }
}
