//! The body of a response that leaves the cache.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use larder_semantics::Replay;
use larder_store::{Recording, StoredBody};
use pin_project_lite::pin_project;

use crate::body::log::{InFlight, Item, LogReader};
use crate::body::pending::PendingReader;
use crate::body::pieces::Pieces;
use crate::body::replay::Replayer;
use crate::body::rpc_id::IdWriter;
use crate::error::{BodyError, BoxError, FetchError};

pin_project! {
    /// A response body: from the store, from a fill under way, or straight from the inner service (`B`).
    #[derive(Debug)]
    pub struct CacheBody<B> {
        #[pin]
        kind: Kind<B>,
        broken: Option<BodyError>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<B> {
        Stored { body: StoredBody, next: usize, left: u64 },
        Slices { slices: VecDeque<Bytes>, left: u64 },
        Pending { reader: LogReader, skip: u64, left: Option<u64>, whole: bool },
        Pieces { pieces: Box<Pieces> },
        Upstream { #[pin] body: B, status: StatusCode },
        Renumbered { body: Pin<Box<CacheBody<B>>>, ids: IdWriter },
        Replayed { body: Pin<Box<CacheBody<B>>>, replayer: Box<Replayer> },
        Resumed { resumed: Box<Resumed<B>> },
    }
}

/// Bytes of a part that is copied out of a long body. Its reader keeps nothing of that in memory then, however slow it is, so it need not be
/// one that can be cut off.
pub(super) const MAX_COPIED: u64 = 16 << 10;

/// A body whose beginning was read.
#[derive(Debug)]
struct Resumed<B> {
    before: VecDeque<Bytes>,
    /// What came behind that.
    next: Option<Result<Frame<Bytes>, BodyError>>,
    body: Pin<Box<CacheBody<B>>>,
}

impl<B> CacheBody<B> {
    fn of(kind: Kind<B>) -> Self {
        Self { kind, broken: None }
    }

    /// No bytes.
    pub fn empty() -> Self {
        Self::slices(Vec::new())
    }

    /// Bytes at hand, for instance slices of a stored body.
    pub fn slices(slices: Vec<Bytes>) -> Self {
        let left = slices.iter().map(|slice| slice.len() as u64).sum();
        Self::of(Kind::Slices { slices: slices.into(), left })
    }

    /// Bytes at hand, in one piece.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self::slices(if bytes.is_empty() { Vec::new() } else { vec![bytes] })
    }

    /// A whole stored body, shared with the store. A stream comes in the pieces in which it arrived.
    #[inline]
    pub(crate) fn stored(body: StoredBody, in_flight: &Arc<InFlight>) -> Self {
        match body.recording().cloned() {
            Some(recording) => Self::stored_bytes(body, in_flight).replayed(recording),
            None => Self::stored_bytes(body, in_flight),
        }
    }

    fn stored_bytes(body: StoredBody, in_flight: &Arc<InFlight>) -> Self {
        if body.address().is_some() {
            let length = body.len();
            return Self::arriving(LogReader::of_stored(body, in_flight), Some(length));
        }
        Self::whole(body)
    }

    /// A part of a stored body: `start..end`.
    pub(crate) fn stored_part(body: &StoredBody, in_flight: &Arc<InFlight>, start: u64, end: u64) -> Self {
        if body.address().is_some() {
            if end - start <= MAX_COPIED {
                return Self::from_bytes(body.copied(start, end));
            }
            return Self::pending_part(PendingReader::Arriving(LogReader::of_stored(body.clone(), in_flight)), start, end);
        }
        Self::slices(body.slice(start, end))
    }

    fn whole(body: StoredBody) -> Self {
        let left = body.len();
        Self::of(Kind::Stored { body, next: 0, left })
    }

    /// A whole body while it arrives.
    pub(crate) fn arriving(reader: LogReader, length: Option<u64>) -> Self {
        Self::of(Kind::Pending { reader, skip: 0, left: length, whole: true })
    }

    /// A whole body on its way into the store.
    pub(crate) fn pending(reader: PendingReader, length: Option<u64>) -> Self {
        match reader {
            PendingReader::Arriving(reader) => Self::arriving(reader, length),
            PendingReader::Whole(body) => Self::whole(body),
        }
    }

    /// A part of such a body: `start..end`.
    pub(crate) fn pending_part(reader: PendingReader, start: u64, end: u64) -> Self {
        match reader {
            PendingReader::Arriving(mut reader) => {
                let skip = start - reader.seek(start);
                Self::of(Kind::Pending { reader, skip, left: Some(end - start), whole: false })
            }
            PendingReader::Whole(body) => Self::slices(body.slice(start, end)),
        }
    }

    /// Pieces of several bodies.
    pub(crate) fn pieces(pieces: Pieces) -> Self {
        Self::of(Kind::Pieces { pieces: Box::new(pieces) })
    }

    /// The same body with another `id` of JSON-RPC in it.
    pub(crate) fn renumbered(self, id: &str) -> Self {
        Self::of(Kind::Renumbered { body: Box::pin(self), ids: IdWriter::new(id) })
    }

    /// The same body in the pieces of a recording.
    pub(crate) fn replayed(self, recording: Recording) -> Self {
        Self::of(Kind::Replayed { body: Box::pin(self), replayer: Box::new(Replayer::new(recording)) })
    }

    /// A body whose beginning was read: these bytes, what came behind them, and the rest.
    pub(crate) fn resumed(before: VecDeque<Bytes>, body: Pin<Box<Self>>, next: Option<Result<Frame<Bytes>, BodyError>>) -> Self {
        Self::of(Kind::Resumed { resumed: Box::new(Resumed { before, next, body }) })
    }

    /// The same at the pace that its route says, where it is a recorded stream.
    pub(crate) fn paced(mut self, pace: Replay) -> Self {
        if let Kind::Replayed { replayer, .. } = &mut self.kind {
            replayer.set_pace(pace);
        }
        self
    }

    /// The inner service's own answer.
    pub fn upstream(response: Response<B>) -> Response<Self> {
        let status = response.status();
        response.map(|body| Self::of(Kind::Upstream { body, status }))
    }
}

pub(super) type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

fn next_stored(body: &StoredBody, next: &mut usize, left: &mut u64) -> Option<Frame<Bytes>> {
    let segments = body.segments();
    let index = *next;
    *next += 1;
    match segments.get(index) {
        Some(segment) => {
            *left -= segment.len() as u64;
            Some(Frame::data(segment.clone()))
        }
        None if index == segments.len() => body.trailers().map(|trailers: &HeaderMap| Frame::trailers(trailers.clone())),
        None => None,
    }
}

/// The next frame of what is left of a body, of which `skip` bytes come before what is wanted. Trailers belong to the `whole` only.
pub(super) fn poll_pending(reader: &mut LogReader, skip: &mut u64, left: &mut Option<u64>, whole: bool, cx: &mut Context<'_>) -> Polled {
    loop {
        if *left == Some(0) && !whole {
            return Poll::Ready(None);
        }
        let mut frame = match std::task::ready!(reader.poll_next(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(Item::Trailers(_))) if !whole => return Poll::Ready(None),
            Some(Ok(Item::Trailers(trailers))) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Ok(Item::Data(frame))) => frame,
        };
        let skipped = (*skip).min(frame.len() as u64);
        *skip -= skipped;
        let mut frame = frame.split_off(skipped as usize);
        if let Some(left) = left {
            frame.truncate((*left).min(frame.len() as u64) as usize);
            *left -= frame.len() as u64;
        }
        if !frame.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
    }
}

impl<B> Body for CacheBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BodyError;

    /// An error is returned one poll later: the frames before it have been written by then, so the client sees where the body breaks off.
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.project();
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let polled = match this.kind.project() {
            KindProjection::Stored { body, next, left } => Poll::Ready(next_stored(body, next, left).map(Ok)),
            KindProjection::Slices { slices, left } => {
                let slice = slices.pop_front();
                *left -= slice.as_ref().map_or(0, |slice| slice.len() as u64);
                Poll::Ready(slice.map(|slice| Ok(Frame::data(slice))))
            }
            KindProjection::Pending { reader, skip, left, whole } => poll_pending(reader, skip, left, *whole, cx),
            KindProjection::Pieces { pieces } => pieces.poll_next(cx),
            KindProjection::Upstream { body, status } => body.poll_frame(cx).map_err(|error| BodyError::of(FetchError::of(error), *status)),
            KindProjection::Renumbered { body, ids } => {
                let polled = body.as_mut().poll_frame(cx);
                polled.map_ok(|frame| frame.map_data(|data| Bytes::from(ids.write(&data))))
            }
            KindProjection::Resumed { resumed } => match resumed.before.pop_front() {
                Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
                None if resumed.next.is_some() => Poll::Ready(resumed.next.take()),
                None => resumed.body.as_mut().poll_frame(cx),
            },
            KindProjection::Replayed { body, replayer } => replayer.poll_piece(cx, |cx| body.as_mut().poll_frame(cx)),
        };
        match polled {
            Poll::Ready(Some(Err(error))) => {
                *this.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Stored { body, left, .. } => *left == 0 && body.trailers().is_none(),
            Kind::Slices { slices, .. } => slices.is_empty(),
            Kind::Pending { .. } => false,
            Kind::Pieces { pieces } => pieces.left() == 0,
            Kind::Upstream { body, .. } => body.is_end_stream(),
            Kind::Renumbered { body, .. } => body.is_end_stream(),
            Kind::Resumed { resumed } => resumed.before.is_empty() && resumed.next.is_none() && resumed.body.is_end_stream(),
            Kind::Replayed { body, replayer } => replayer.is_drained() && body.is_end_stream(),
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Stored { left, .. } | Kind::Slices { left, .. } | Kind::Pending { left: Some(left), .. } => SizeHint::with_exact(*left),
            // A stream has none, so that its pieces are what its client sees.
            Kind::Pending { left: None, .. } | Kind::Renumbered { .. } | Kind::Resumed { .. } | Kind::Replayed { .. } => {
                SizeHint::default()
            }
            Kind::Pieces { pieces } => SizeHint::with_exact(pieces.left()),
            Kind::Upstream { body, .. } => body.size_hint(),
        }
    }
}
