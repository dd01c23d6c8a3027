//! What a service behind the cache has to be.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::error::BoxError;
use crate::request_body::RequestBody;

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

/// A client's request body: what [`RequestBody::new`] takes.
pub trait ClientBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<R> ClientBody for R where R: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

/// The body of an answer on its way into the store.
pub(crate) trait UpstreamBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<B> UpstreamBody for B where B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}
