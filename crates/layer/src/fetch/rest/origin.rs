//! The rest of a response whose other source broke off, from an origin that still has the same representation.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use larder_semantics::StoredHead;
use larder_semantics::range::Resumption;
use larder_store::RemoteError;
use tokio::time::timeout;

use crate::body::request::RequestBody;
use crate::error::{BodyError, FetchError};
use crate::lookup::request::ClientRequest;
use crate::service::CacheService;
use crate::upstream::{Upstream, UpstreamBody, call};

/// The longest pause between two frames of a body that is being stored (nginx's `proxy_read_timeout`, Varnish's
/// `between_bytes_timeout`). A body that merely passes through is not timed, nor are recorded events: a stream may be silent for as long as its
/// client likes.
pub(in crate::fetch) const STALL: Duration = Duration::from_secs(60);

/// What a source of a body brings, unless it is silent for too long.
pub(in crate::fetch) async fn within<T>(stall: Duration, next: impl Future<Output = T>) -> Result<T, BodyError> {
    timeout(stall, next).await.map_err(|_| BodyError::Stalled)
}

/// The origin's answer. So many bytes of its content are there already.
pub(in crate::fetch) struct Rest<B> {
    body: Pin<Box<B>>,
    before: u64,
}

/// Whether the rest can be told from that of another representation, and so be asked for. "The Range header field [...] is only defined for GET"
/// (RFC 9110 §14.2).
fn resumption(request: &ClientRequest, head: &StoredHead, (got, length): (u64, u64)) -> Option<Resumption> {
    Resumption::of(head, got, length).filter(|_| request.content.is_none())
}

/// Whether the rest of a body of `length` bytes can be asked for.
pub(in crate::fetch) fn is_resumable(request: &ClientRequest, head: &StoredHead, length: Option<u64>) -> bool {
    length.is_some_and(|length| resumption(request, head, (0, length)).is_some())
}

impl<B: UpstreamBody> Rest<B> {
    /// Asks the origin for the bytes of `head`'s representation of `length` bytes from `got` on, which were to come from elsewhere but for this
    /// `error`.
    pub(in crate::fetch) async fn ask<S: Upstream<Body = B>>(
        service: &CacheService<S>,
        request: &ClientRequest,
        head: &StoredHead,
        (got, length): (u64, u64),
        error: RemoteError,
    ) -> Result<Self, BodyError> {
        let rest = resumption(request, head, (got, length)).ok_or(BodyError::Stored(error))?;
        let asking = Self::request(service, request, &rest);
        let response = within(STALL, call(&service.inner, || asking)).await?.map_err(BodyError::Upstream)?;
        let before = rest.bytes_before(response.status(), response.headers()).ok_or(BodyError::Stored(error))?;
        Ok(Self { body: Box::pin(response.into_body()), before })
    }

    fn request<S: Upstream<Body = B>>(service: &CacheService<S>, request: &ClientRequest, rest: &Resumption) -> Request<RequestBody> {
        let mut parts = request.parts.clone();
        parts.method = Method::GET;
        service.route.reduce_to_key(&mut parts);
        rest.fields(&mut parts.headers);
        Request::from_parts(parts, RequestBody::empty())
    }

    /// The next bytes, perhaps none.
    pub(in crate::fetch) async fn next(&mut self) -> Result<Bytes, BodyError> {
        loop {
            let next = poll_fn(|cx| self.body.as_mut().poll_frame(cx)).await;
            let frame = next.transpose().map_err(|error| BodyError::Upstream(FetchError::of(error)))?;
            let Some(frame) = frame else { return Err(BodyError::Stored(RemoteError::Incomplete)) };
            let Ok(data) = frame.into_data() else { continue };
            let skipped = self.before.min(data.len() as u64);
            self.before -= skipped;
            // A copy: a slice would keep the connection's read buffer for as long as the body is stored.
            return Ok(Bytes::copy_from_slice(&data[skipped as usize..]));
        }
    }
}
