//! The key of a request's content, as a route wants it.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use larder_semantics::Reason;
use larder_semantics::content::{ContentRequest, ContentRules, Keyed, Unkeyed};

use super::RouteRules;

/// Undoes content codings of requests, so that a coded content has the key of what was coded. The inner service gets it as it came.
pub trait ContentDecoder: Debug + Send + Sync {
    /// The whole content of a request with these fields without its coding; `None` where that is unknown or damaged, or the content is longer than
    /// `max_length` bytes.
    fn decode(&self, fields: &HeaderMap, content: &Bytes, max_length: usize) -> Option<Vec<u8>>;
}

/// The operations that a request is to carry out, in its extensions where its content names them: the operation of GraphQL and its root fields, or methods of
/// JSON-RPC. Such a request invalidates what [`WriteRules`](super::WriteRules) name for it, and not the URL that all operations share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operations(pub Arc<[String]>);

impl RouteRules {
    /// The key of a content under `rules`; or why it has none.
    pub(crate) fn content_key(&self, rules: &ContentRules, path: &str, fields: &HeaderMap, content: &Bytes) -> Result<Keyed, Unkeyed> {
        let key = |content: &[u8]| rules.key(&ContentRequest { path, fields, content });
        if !rules.wants_decoding(fields) {
            return key(content);
        }
        key(&self.decoded(fields, content, rules.max_length).ok_or(Reason::BodyNotKeyed)?)
    }

    /// A content without its content coding.
    pub(crate) fn decoded(&self, fields: &HeaderMap, content: &Bytes, max_length: usize) -> Option<Vec<u8>> {
        self.content_decoder.as_ref()?.decode(fields, content, max_length)
    }
}
