//! Clients that still send what nobody wants any more.
//!
//! To close on them, or to reset their stream, can overtake the answer that tells them why. So the rest of what they send is read and forgotten,
//! within bounds (RFC 9112 §9.6, RFC 9113 §8.1).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::listener::socket::Socket;

/// How long, and for how many bytes, a client that still sends is listened to after the last answer.
const TIME: Duration = Duration::from_secs(5);
const BYTES: u64 = 8 * 1024 * 1024;

/// Reads the rest of a connection. Keeps what is `held` for it meanwhile, such as the connection's slot.
pub(crate) async fn linger_on_connection<T>(mut socket: Socket, _held: T) {
    let _ = tokio::time::timeout(TIME, async {
        socket.shutdown().await?;
        tokio::io::copy(&mut (&mut socket).take(BYTES), &mut tokio::io::sink()).await
    })
    .await;
}

/// The request with content that is read on, within bounds, where whoever has it lets go of it before its end: on a stream of its own. Over
/// HTTP/1.1 that is left to the end of the connection.
pub fn lingering(request: Request<Incoming>) -> Request<Lingering> {
    let lingers = request.version() == Version::HTTP_2 && !request.body().is_end_stream();
    request.map(|body| Lingering { body: Some(body), lingers })
}

/// See [`lingering`].
#[derive(Debug)]
pub struct Lingering {
    /// Only `Drop` takes it.
    body: Option<Incoming>,
    /// There may be more to read.
    lingers: bool,
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.lingers = false;
        }
        polled
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
                let mut rest = Limited::new(body, BYTES as usize);
                let _ = tokio::time::timeout(TIME, async { while let Some(Ok(_)) = rest.frame().await {} }).await;
            });
        }
    }
}
