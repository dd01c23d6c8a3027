//! Whether a whole answer may be given again, where only its body tells: that of a model, which may fail or be cut within a 200.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use larder_semantics::StoredHead;
use larder_semantics::content::model::{AnswerForm, Judged, judge};

use super::state::Fetch;
use crate::rules::RouteRules;

impl Fetch {
    /// What the answer says of itself; `None` where its body has nothing to tell.
    pub(super) fn judge_body<'a>(&self, rules: &RouteRules, head: &StoredHead, frames: impl Iterator<Item = &'a Bytes>) -> Option<Judged> {
        let (request, content) = (self.request.model()?, rules.content.as_ref()?);
        let Some(form) = form(head) else { return Some(Judged::default()) };
        let body = joined(frames);
        Some(match head.headers.get(&CONTENT_ENCODING) {
            None => judge(request, form, &content.finish, &body),
            Some(coding) => {
                let fields = HeaderMap::from_iter([(CONTENT_ENCODING, coding)]);
                let max_length = usize::try_from(rules.max_object).unwrap_or(usize::MAX);
                let body = rules.decoded(&fields, &body, max_length);
                body.map(|body| judge(request, form, &content.finish, &body)).unwrap_or_default()
            }
        })
    }
}

/// `None` where it comes in a form that no API has.
fn form(head: &StoredHead) -> Option<AnswerForm> {
    let value: HeaderValue = head.headers.get(&CONTENT_TYPE)?;
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    match essence.as_slice() {
        b"application/json" => Some(AnswerForm::Json),
        b"text/event-stream" => Some(AnswerForm::Events),
        b"application/x-ndjson" | b"application/ndjson" | b"application/jsonl" => Some(AnswerForm::Lines),
        _ => None,
    }
}

/// All frames in one piece.
fn joined<'a>(mut frames: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let (Some(first), second) = (frames.next(), frames.next()) else { return Bytes::new() };
    let Some(second) = second else { return first.clone() };
    let mut whole = BytesMut::from(&first[..]);
    std::iter::once(second).chain(frames).for_each(|frame| whole.extend_from_slice(frame));
    whole.freeze()
}
