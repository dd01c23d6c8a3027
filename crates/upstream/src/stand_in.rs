//! Something that answers in place of an upstream's servers, where no network may be asked.

use std::fmt;

use bytes::Bytes;
use http::Response;
use http::request::Parts;

use crate::error::UpstreamError;

/// Answers requests in place of servers: for `larder test`, which plays the origin, and for `larder simulate`. A [`WholeBody`](larder_tower::WholeBody) in the extensions of an
/// answer is its body.
pub trait StandIn: fmt::Debug + Send + Sync {
    /// The answer to a request of the upstream with this number, with all of its content.
    ///
    /// # Errors
    /// The failure that the origin is to have.
    fn answer(&self, upstream: usize, request: Parts, content: Bytes) -> Result<Response<Bytes>, UpstreamError>;
}
