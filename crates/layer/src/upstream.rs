//! The service behind the cache.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use http_body::Body;
use larder_semantics::Timestamp;
use larder_store::StoredBody;
use tower_service::Service;

use crate::body::request::RequestBody;
use crate::clock::Clock;
use crate::error::{BoxError, FetchError};

/// A service that answers requests the cache cannot: an HTTP client, a router, anything of this shape. Implemented for all of them;
/// a name for the bounds, nothing to implement.
pub trait Upstream:
    Service<Request<RequestBody>, Response = Response<<Self as Upstream>::Body>, Error: Into<BoxError>, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// Its response body.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> Upstream for S
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>,
    S: Clone + Send + Sync + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;
}

/// In the extensions of a request that no client waits for: a refresh, or a fetch ahead of need.
#[derive(Clone, Copy, Debug)]
pub struct InBackground;

/// In the extensions of an answer whose body is at hand in the form in which it is stored: it is stored without a copy, and what the answer itself has
/// for a body is not read. The answer names its length (`Content-Length`).
#[derive(Clone, Debug)]
pub struct WholeBody(pub StoredBody);

/// In the extensions of an answer whose request the inner service held back before it sent it, for instance in a queue: for so long. That time is not
/// part of the answer's age (`request_time`, RFC 9111 §4.2.3).
#[derive(Clone, Copy, Debug)]
pub struct HeldBack(pub Duration);

/// In the extensions of an answer to a write that the inner service had sent before, without an answer: that one may have been carried out, whatever this
/// answer says. A DELETE that is sent twice is answered with 404.
#[derive(Clone, Copy, Debug)]
pub struct SentBefore;

/// The body of an answer on its way into the store.
pub(crate) trait UpstreamBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<B> UpstreamBody for B where B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

/// Calls the inner service once it is ready. The request is made then, so that nothing holds it while it waits for the answer.
pub(crate) async fn call<S: Upstream>(inner: &S, request: impl FnOnce() -> Request<RequestBody>) -> Result<Response<S::Body>, FetchError> {
    let mut inner = inner.clone();
    poll_fn(|cx| inner.poll_ready(cx)).await.map_err(FetchError::of)?;
    let answer = inner.call(request());
    answer.await.map_err(FetchError::of)
}

/// As [`call`], with the time at which the request went out (`request_time`, RFC 9111 §4.2.3).
pub(crate) async fn call_timed<S: Upstream>(
    inner: &S,
    clock: &Clock,
    request: impl FnOnce() -> Request<RequestBody>,
) -> Result<(Response<S::Body>, Timestamp), FetchError> {
    let mut called = None;
    let mut answer = call(inner, || {
        called = Some(clock.now());
        request()
    })
    .await?;
    let held_back = answer.extensions_mut().remove::<HeldBack>().map_or(Duration::ZERO, |held| held.0);
    let called = called.unwrap_or_else(|| clock.now());
    Ok((answer, called.after(held_back)))
}

/// `Content-Length`, where the response has one.
pub(crate) fn announced_length<B: Body>(response: &Response<B>) -> Option<u64> {
    let field = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    field.or_else(|| response.body().size_hint().exact())
}
