//! The body of an answer on its way to a client, which somebody else wants to see as well once it is whole.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use larder_tower::CacheBody;

use super::WayBody;

/// Is given a body once it has ended; `None` where it broke off, or is longer than it may be.
type Ended = Box<dyn FnOnce(Option<Bytes>) + Send + Sync>;

/// A body that is kept while it passes.
pub(crate) struct Watched {
    body: CacheBody<WayBody>,
    /// What has passed; `None` once that is too much.
    seen: Option<Vec<u8>>,
    max: usize,
    ended: Option<Ended>,
}

/// The same answer; `ended` is given its body of at most `max` bytes.
pub(crate) fn watched(
    response: Response<CacheBody<WayBody>>,
    max: usize,
    ended: impl FnOnce(Option<Bytes>) + Send + Sync + 'static,
) -> Response<CacheBody<WayBody>> {
    let (parts, body) = response.into_parts();
    let mut watched = Watched { body, seen: Some(Vec::new()), max, ended: Some(Box::new(ended)) };
    if watched.body.is_end_stream() {
        watched.end();
    }
    CacheBody::upstream(Response::from_parts(parts, WayBody::Watched(Box::new(watched))))
}

impl Watched {
    fn take(&mut self, data: &Bytes) {
        match &mut self.seen {
            Some(seen) if seen.len() + data.len() <= self.max => seen.extend_from_slice(data),
            _ => self.seen = None,
        }
    }

    fn end(&mut self) {
        if let Some(ended) = self.ended.take() {
            ended(self.seen.take().map(Bytes::from));
        }
    }
}

/// A client that leaves has not got the whole.
impl Drop for Watched {
    fn drop(&mut self) {
        self.seen = None;
        self.end();
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = larder_tower::BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => frame.data_ref().into_iter().for_each(|data| self.take(data)),
            Some(Err(_)) => {
                self.seen = None;
                self.end();
            }
            None => self.end(),
        }
        if self.body.is_end_stream() {
            self.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("body", &self.body).finish_non_exhaustive()
    }
}
