//! Drains clients that still send after they have been answered (nginx: `lingering_close`).
//!
//! Closing the connection, or resetting the stream, can reach the client before the response does. So the rest of what it sends is read and
//! dropped, within limits (RFC 9112 §9.6, RFC 9113 §8.1).

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use larder_tower::BoxError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::listener::socket::Socket;

/// How long, and for how many bytes, a client may go on sending after the last response.
const MAX_TIME: Duration = Duration::from_secs(5);
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Reads the rest of a connection. `_held` lives as long as that takes, such as the connection's slot.
pub(crate) async fn drain_connection<T>(mut socket: Socket, _held: T) {
    let _ = tokio::time::timeout(MAX_TIME, async {
        socket.shutdown().await?;
        tokio::io::copy(&mut (&mut socket).take(MAX_BYTES), &mut tokio::io::sink()).await
    })
    .await;
}

/// A request whose content is drained, within limits, when it is dropped before its end. This concerns HTTP/2, where the content has a stream
/// of its own. HTTP/1.1 drains when the connection ends.
pub fn lingering(request: Request<Incoming>) -> Request<Lingering> {
    let lingers = request.version() == Version::HTTP_2 && !request.body().is_end_stream();
    request.map(|body| Lingering { body: Some(body), lingers })
}

/// A client reset the stream of its content.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the stream ended within the content")]
struct Incomplete;

/// See [`lingering`]. Content that breaks off ends with an error, never with a clean end.
#[derive(Debug)]
pub struct Lingering {
    /// Only `Drop` takes it.
    body: Option<Incoming>,
    /// It comes over HTTP/2, and there may be more to read.
    lingers: bool,
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let lingers = self.lingers;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = match ready!(Pin::new(&mut *body).poll_frame(cx)) {
            Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => Some(Err(error.into())),
            // hyper takes a stream that was reset with NO_ERROR for one that has ended.
            None => (lingers && !body.is_end_stream()).then(|| Err(Incomplete.into())),
        };
        self.lingers = false;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.lingers
            && !self.is_end_stream()
            && let Some(body) = self.body.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                let mut rest = Limited::new(body, MAX_BYTES as usize);
                let _ = tokio::time::timeout(MAX_TIME, async { while let Some(Ok(_)) = rest.frame().await {} }).await;
            });
        }
    }
}
