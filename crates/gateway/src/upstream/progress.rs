//! A client's request body on its way to the origin: held back where the client expects that, and watched so that the deadline of the response counts from the last of it, and so
//! that a client that stops sending is told from an origin that stops answering.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::LengthLimitError;
use larder_tower::{BoxError, RequestBody};

use super::expect::{Gate, Verdict};

/// What the sending of one request body has come to.
#[derive(Debug, Default)]
pub(super) struct Progress {
    moved: AtomicBool,
    starved: AtomicBool,
    failure: OnceLock<BodyFailure>,
}

/// Why the content ended before its end. An HTTP/2 connection does not say when it is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFailure {
    /// The client broke off.
    Broken,
    /// It has more bytes than it may have.
    TooLarge,
}

impl Progress {
    /// Whether any of the body went out since the last time of asking.
    pub(super) fn take_moved(&self) -> bool {
        self.moved.swap(false, Ordering::Relaxed)
    }

    /// Why the client's body failed, if it did.
    pub(super) fn failure(&self) -> Option<BodyFailure> {
        self.failure.get().copied()
    }

    fn failed(&self, error: &BoxError) {
        let failure = if error.is::<LengthLimitError>() { BodyFailure::TooLarge } else { BodyFailure::Broken };
        self.failure.get_or_init(|| failure);
    }

    /// Whether the client is being waited for.
    pub(super) fn is_starved(&self) -> bool {
        self.starved.load(Ordering::Relaxed)
    }
}

/// A request body whose progress can be watched. An empty one costs nothing.
pub(super) struct WatchedBody {
    body: RequestBody,
    progress: Option<Arc<Progress>>,
    gate: Option<Gate>,
}

/// The content was held back, and the origin has answered without it.
#[derive(Debug, thiserror::Error)]
#[error("the content was not wanted")]
struct Unwanted;

impl WatchedBody {
    pub(super) fn new(body: RequestBody, gate: Option<Gate>) -> Self {
        let progress = (!body.is_end_stream()).then(Arc::default);
        Self { body, progress, gate }
    }

    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        self.progress.clone()
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(gate) = &self.gate {
            match ready!(gate.poll(cx)) {
                Verdict::Continue => self.gate = None,
                Verdict::Superfluous => return Poll::Ready(Some(Err(Unwanted.into()))),
            }
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(progress) = &self.progress {
            progress.starved.store(polled.is_pending(), Ordering::Relaxed);
            if polled.is_ready() {
                progress.moved.store(true, Ordering::Relaxed);
            }
            if let Poll::Ready(Some(Err(error))) = &polled {
                progress.failed(error);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
