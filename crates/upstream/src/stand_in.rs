//! Something that answers in place of an upstream's servers, where no network may be asked.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use larder_tower::{RequestBody, WholeBody};

use crate::error::UpstreamError;
use crate::exchange::body::{Held, Source, UpstreamBody};
use crate::upstream::Upstream;

/// Answers requests in place of servers: for `larder test`, which plays the origin, and for `larder simulate`. A [`WholeBody`] in the extensions of an
/// answer is its body.
pub trait StandIn: fmt::Debug + Send + Sync {
    /// The answer to a request of the upstream with this number, with all of its content.
    ///
    /// # Errors
    /// The failure that the origin is to have.
    fn answer(&self, upstream: usize, request: Parts, content: Bytes) -> Result<Response<Bytes>, UpstreamError>;
}

/// Asks it, and makes its answer into one that has come from a server.
pub(crate) async fn ask(
    upstream: &Upstream,
    stand_in: Arc<dyn StandIn>,
    request: Request<RequestBody>,
) -> Result<Response<UpstreamBody>, UpstreamError> {
    let (parts, body) = request.into_parts();
    let content = body.collect().await.map_err(UpstreamError::RequestBody)?.to_bytes();
    let mut answer = stand_in.answer(upstream.options.index, parts, content)?;
    let whole = answer.extensions_mut().remove::<WholeBody>();
    let held = Held { _permit: None, _in_flight: upstream.stats.begin_request() };
    let mut received = upstream.received(answer.map(|body| Source::Played(Full::new(body))), held, None)?;
    // Extensions of an answer are nothing that an origin sends; this one is its body.
    whole.and_then(|whole| received.extensions_mut().insert(whole));
    Ok(received)
}
