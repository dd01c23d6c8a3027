//! The origin of a simulation: it answers as the log says.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RANGE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use larder_simulate::OriginAnswer;
use larder_store::{SEGMENT, StoredBody};
use larder_tower::WholeBody;

use crate::upstream::{StandIn, UpstreamError};

/// The bytes that stand for those of every body: a store that is full of them takes no memory for them, and counts them all the same.
static ZEROS: [u8; SEGMENT] = [0; SEGMENT];

/// The longest body that is handed to a store. Longer ones are not for memory, and even their list of segments would be long.
const MAX_BODY: u64 = 1 << 30;

/// Answers every request with what it was told last.
#[derive(Debug, Default)]
pub(super) struct LoggedOrigin {
    answer: Mutex<Option<Arc<OriginAnswer>>>,
    asked: AtomicU32,
}

impl LoggedOrigin {
    /// From now on this is the answer.
    pub(super) fn answers(&self, answer: Arc<OriginAnswer>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }

    /// How often it was asked since this was called last.
    pub(super) fn take_asked(&self) -> u32 {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

impl StandIn for LoggedOrigin {
    fn answer(&self, _: usize, request: Parts, _: Bytes) -> Result<Response<Bytes>, UpstreamError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut response = Response::new(Bytes::new());
        let Some(answer) = answer else { return Ok(response) };
        *response.headers_mut() = answer.fields.clone();
        *response.status_mut() = answer.status;
        if answer.status == StatusCode::OK && still_holds(&request.headers, &answer.fields) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        if answer.is_part && request.headers.contains_key(RANGE) {
            let range = format!("bytes 0-{}/*", answer.size.saturating_sub(1));
            response.headers_mut().extend(HeaderValue::from_str(&range).ok().map(|range| (CONTENT_RANGE, range)));
        } else if answer.is_part {
            // More than the part was asked for; how much more is not known.
            *response.status_mut() = StatusCode::OK;
        }
        let has_body = request.method != Method::HEAD && response.status() != StatusCode::NO_CONTENT;
        if has_body {
            response.headers_mut().insert(CONTENT_LENGTH, answer.size.into());
            if let Some(body) = body(answer.size) {
                response.extensions_mut().insert(body);
            }
        }
        Ok(response)
    }
}

/// Whether the request's precondition says that it has the representation already (RFC 9110 §13.1).
fn still_holds(request: &HeaderMap, answer: &HeaderMap) -> bool {
    match (request.get(IF_NONE_MATCH), answer.get(ETAG)) {
        (Some(tags), Some(tag)) => {
            let bare = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
            tags.as_bytes().split(|byte| *byte == b',').any(|known| bare(known.trim_ascii()) == bare(tag.as_bytes()))
        }
        (Some(_), None) => false,
        (None, _) => request.get(IF_MODIFIED_SINCE).zip(answer.get(LAST_MODIFIED)).is_some_and(|(since, last)| since == last),
    }
}

/// A body of so many bytes that takes no memory for them.
fn body(size: u64) -> Option<WholeBody> {
    let size = usize::try_from(size).ok().filter(|_| size <= MAX_BODY)?;
    let full = std::iter::repeat_n(Bytes::from_static(&ZEROS), size / SEGMENT);
    let rest = Some(size % SEGMENT).filter(|rest| *rest > 0).map(|rest| Bytes::from_static(&ZEROS[..rest]));
    StoredBody::from_segments(full.chain(rest).collect(), None).map(WholeBody)
}
