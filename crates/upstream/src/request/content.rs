//! A client's request body on its way to the origin: held back where the client expects that, its trailers filtered as its header is, and
//! watched so that the deadline of the response counts from the last of it, and so that a client that stops sending, or hardly sends, is
//! told from an origin that stops answering.

use std::any::Any;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use http_body::{Body, Frame, SizeHint};
use http_body_util::LengthLimitError;
use larder_semantics::fields::connection_options;
use larder_tower::{BoxError, RequestBody};

use crate::request::expect::{Gate, Verdict};
use larder_message::forward::{OwnFields, filter_trailers};

/// The state of sending one request body.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    moved: AtomicBool,
    bytes: AtomicU64,
    starved: AtomicBool,
    answered: AtomicBool,
    failure: OnceLock<BodyFailure>,
    held: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// Why the content ended before its end. An HTTP/2 connection does not hand this error back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFailure {
    /// The client broke off.
    Broken,
    /// It has more bytes than it may have.
    TooLarge,
}

impl Progress {
    /// Whether any of the body went out since the last time of asking.
    pub(crate) fn take_moved(&self) -> bool {
        self.moved.swap(false, Ordering::Relaxed)
    }

    /// How many bytes came since the last time of asking.
    pub(crate) fn take_bytes(&self) -> u64 {
        self.bytes.swap(0, Ordering::Relaxed)
    }

    /// Why the client's body failed, if it did.
    pub(crate) fn failure(&self) -> Option<BodyFailure> {
        self.failure.get().copied()
    }

    fn failed(&self, error: &BoxError) {
        let failure = if error.is::<LengthLimitError>() { BodyFailure::TooLarge } else { BodyFailure::Broken };
        self.failure.get_or_init(|| failure);
    }

    /// Whether the client is being waited for.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved.load(Ordering::Relaxed)
    }

    /// The response is over.
    pub(crate) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Whether the response is over.
    pub(crate) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// What the exchange holds is held until nobody sends or reads any more.
    pub(crate) fn hold(&self, held: impl Any + Send + Sync) {
        self.held.get_or_init(|| Box::new(held));
    }
}

/// A request body whose progress can be watched. An empty one costs nothing.
pub(crate) struct WatchedBody {
    body: RequestBody,
    progress: Option<Arc<Progress>>,
    gate: Option<Gate>,
    /// Fields that the request's `Connection` names, and those that the operator writes or removes: none of them goes on in trailers.
    withheld: Vec<HeaderName>,
    /// Where the content goes back to if nothing of it is sent.
    lender: Option<LentBody>,
}

/// Content that was lent for a request, and comes back where that request is dropped before any of it was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct LentBody(Arc<Mutex<Option<RequestBody>>>);

impl LentBody {
    /// Whether it has come back.
    pub(crate) fn is_untouched(&self) -> bool {
        self.lock().is_some()
    }

    /// The content, once it has come back.
    pub(crate) fn take(&self) -> Option<RequestBody> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<RequestBody>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The content was held back, and the origin has answered without it.
#[derive(Debug, thiserror::Error)]
#[error("the content was not wanted")]
struct Unwanted;

impl WatchedBody {
    /// The content of a request with these header fields. Until the gate says so, it is not asked of the client.
    pub(crate) fn new(body: RequestBody, headers: &HeaderMap, gate: Option<Gate>) -> Self {
        if body.is_end_stream() {
            return Self { body, progress: None, gate, withheld: Vec::new(), lender: None };
        }
        Self { body, progress: Some(Arc::default()), gate, withheld: connection_options(headers).into_vec(), lender: None }
    }

    /// The same, of a request in whose head the operator may have written fields.
    pub(crate) fn of(body: RequestBody, parts: &Parts, gate: Option<Gate>) -> Self {
        let mut content = Self::new(body, &parts.headers, gate);
        if content.progress.is_some()
            && let Some(OwnFields(own)) = parts.extensions.get()
        {
            content.withheld.extend(own.iter().cloned());
        }
        content
    }

    /// No content.
    pub(crate) fn empty() -> Self {
        Self { body: RequestBody::empty(), progress: None, gate: None, withheld: Vec::new(), lender: None }
    }

    /// The content, if there is any, in case that nothing of it is asked for.
    pub(crate) fn lend(&mut self) -> Option<LentBody> {
        if self.body.is_end_stream() {
            return None;
        }
        self.lender = Some(LentBody::default());
        self.lender.clone()
    }

    fn poll_watched(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.lender = None;
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(progress) = &self.progress {
            progress.starved.store(polled.is_pending(), Ordering::Relaxed);
            if polled.is_ready() {
                progress.moved.store(true, Ordering::Relaxed);
            }
            match &polled {
                Poll::Ready(Some(Ok(frame))) => {
                    let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                    progress.bytes.fetch_add(bytes, Ordering::Relaxed);
                }
                Poll::Ready(Some(Err(error))) => progress.failed(error),
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
        polled
    }

    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        self.progress.clone()
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if let Some(lender) = self.lender.take() {
            *lender.lock() = Some(std::mem::take(&mut self.body));
        }
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
        loop {
            let Some(frame) = ready!(self.poll_watched(cx)?) else { return Poll::Ready(None) };
            let mut trailers = match frame.into_trailers() {
                Ok(trailers) => trailers,
                Err(data) => return Poll::Ready(Some(Ok(data))),
            };
            filter_trailers(&mut trailers, &self.withheld);
            if !trailers.is_empty() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
