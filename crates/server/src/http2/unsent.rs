//! The content of an HTTP/2 response on its way to the client: in small pieces, counted while they wait.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::http2::streams::Stream;

/// Bytes in one piece, as many as a frame of HTTP/2 has (RFC 9113 §4.2). A piece goes to the connection as a whole as soon as there is any
/// room for it, so this is also what a stream may hold beyond [`MAX_UNSENT`].
pub(crate) const PIECE: usize = 16 * 1024;

/// Bytes of one stream that its connection takes before the client does.
pub(crate) const MAX_UNSENT: usize = 64 * 1024;

/// A piece of a response that the client has not taken yet.
#[derive(Debug)]
pub(crate) struct Unsent {
    bytes: Bytes,
    stream: Arc<Stream>,
}

impl Unsent {
    fn new(bytes: Bytes, stream: &Arc<Stream>) -> Self {
        stream.sending(bytes.len());
        Self { bytes, stream: Arc::clone(stream) }
    }
}

impl Buf for Unsent {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.stream.taken(count);
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.stream.dropped(self.bytes.len());
    }
}

pin_project! {
    /// A body whose pieces are [`Unsent`].
    pub(crate) struct CountedBody<B> {
        #[pin]
        body: B,
        // The rest of the last frame.
        rest: Bytes,
        stream: Arc<Stream>,
    }
}

impl<B> CountedBody<B> {
    pub(crate) fn new(body: B, stream: Arc<Stream>) -> Self {
        Self { body, rest: Bytes::new(), stream }
    }
}

impl<B: Body<Data = Bytes>> Body for CountedBody<B> {
    type Data = Unsent;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Unsent>, B::Error>>> {
        let this = self.project();
        if this.rest.is_empty() {
            match ready!(this.body.poll_frame(cx)?).map(Frame::into_data) {
                Some(Ok(bytes)) => *this.rest = bytes,
                Some(Err(other)) => return Poll::Ready(other.into_trailers().ok().map(|trailers| Ok(Frame::trailers(trailers)))),
                None => return Poll::Ready(None),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(Unsent::new(piece, this.stream)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
