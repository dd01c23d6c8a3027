//! The key of a request's content, as a route wants it.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use larder_semantics::content::{ContentKey, ContentRequest, ContentRules, Keyed, Operation, Unkeyed};

use super::RouteRules;

/// Undoes content codings of requests, so that a coded content has the key of what was coded. The inner service gets it as it came.
pub trait ContentDecoder: Debug + Send + Sync {
    /// The whole content of a request with these fields without its coding; `None` where that is unknown or damaged, or the content is longer than
    /// `max_length` bytes.
    fn decode(&self, fields: &HeaderMap, content: &Bytes, max_length: usize) -> Option<Vec<u8>>;

    /// At most so many bytes of what the beginning of a content is without its coding; `None` where that is unknown or damaged. Guards search answers in
    /// it; by default none that has a coding is searched.
    fn decode_beginning(&self, _fields: &HeaderMap, _beginning: &Bytes, _max_length: usize) -> Option<Vec<u8>> {
        None
    }
}

/// The operations that a request is to carry out, in its extensions where it is one of GraphQL or JSON-RPC that does not only read, or cannot be read. Such a
/// request invalidates what [`WriteRules`](super::WriteRules) name for each of them, and not the URL that all operations share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operations(pub Arc<[Operation]>);

/// Cells of [`Turns`].
const CELLS: usize = 4096;

/// Whose turn it is among several answers to one request. Requests that share a cell take turns together, so that one of them may get an answer twice
/// in a row.
#[derive(Debug)]
pub(super) struct Turns(Box<[AtomicU32]>);

impl Turns {
    pub(super) fn new() -> Self {
        Self((0..CELLS).map(|_| AtomicU32::new(0)).collect())
    }

    fn next(&self, of: impl Hash, answers: u8) -> u8 {
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        let turn = self.0[hasher.finish() as usize % CELLS].fetch_add(1, Ordering::Relaxed);
        // Less than `answers`, so it fits.
        (turn % u32::from(answers.max(1))) as u8
    }
}

impl RouteRules {
    /// The key of a content for the answer whose turn it is.
    pub(crate) fn in_turn(&self, rules: &ContentRules, key: ContentKey, parts: &Parts) -> ContentKey {
        let Some(turns) = &self.turns else { return key };
        let who = self.key.identity_of(&parts.headers, parts.uri.query());
        key.in_turn(turns.next((key.digest(), parts.uri.path(), who), rules.answers))
    }

    /// The key of a request by its content under `rules`, or by what a GET has in its query instead; or why it has none.
    pub(crate) fn content_key(
        &self,
        rules: &ContentRules,
        method: &Method,
        uri: &Uri,
        fields: &HeaderMap,
        content: &Bytes,
    ) -> Result<Keyed, Unkeyed> {
        if *method == Method::GET {
            return rules.key_of_query(uri.query().unwrap_or_default());
        }
        let path = uri.path();
        let key = |content: &[u8]| rules.key(&ContentRequest { path, fields, content });
        if !rules.wants_decoding(fields) {
            return key(content);
        }
        key(&self.decoded(fields, content, rules.max_length).ok_or_else(|| rules.unread())?)
    }

    /// A content without its content coding.
    pub(crate) fn decoded(&self, fields: &HeaderMap, content: &Bytes, max_length: usize) -> Option<Vec<u8>> {
        self.content_decoder.as_ref()?.decode(fields, content, max_length)
    }
}
