//! A response body as it comes from an origin.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Response, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use larder_tower::BoxError;

use crate::error::UpstreamError;
use crate::http1::{Incomplete, ResponseBody};
use crate::http2::OpenStream;
use crate::observe::{InFlight, UpstreamStats};
use crate::protect::concurrency::Permit;
use crate::request::expect::{Gate, Superseded};

/// A response body that streams from its origin. One that breaks off ends with an error, never with a clean end, so that it is not taken
/// for complete (RFC 9112 §8).
#[derive(Debug)]
pub struct UpstreamBody {
    body: Source,
    /// `None`: the request's content has it, since it may be sent for longer than the response takes.
    _held: Option<Held>,
    _expectation: Option<Superseded>,
}

/// Permits and counters that an exchange holds until it ends.
#[derive(Debug)]
pub(crate) struct Held {
    /// `None` for an exchange that takes no place from clients' requests.
    pub(crate) _permit: Option<Permit>,
    pub(crate) _in_flight: InFlight,
}

impl Held {
    /// The exchange goes on with the server that has these counts.
    pub(crate) fn is_with(&mut self, stats: &Arc<UpstreamStats>) {
        self._in_flight = stats.begin_request();
    }

    /// Gives the permit back. A stream of events has no end, so as many clients as there are permits would keep all others from the origin.
    pub(crate) fn for_events(self) -> Self {
        Self { _permit: None, ..self }
    }
}

/// Where the body comes from, and what drives its connection.
pub(crate) enum Source {
    /// No body: the response ended with its head, as `101 Switching Protocols` does.
    Empty,
    /// The pool's connection, driven by reading the body.
    Pooled(ResponseBody),
    /// hyper's connection of HTTP/1.1, driven by a task.
    Driven(Incoming),
    /// A stream of hyper's connection of HTTP/2, and its count, where others may be on the same connection.
    Stream { body: Incoming, _open: Option<OpenStream> },
    /// No connection: what stands in for the servers has given it.
    Played(Full<Bytes>),
}

impl Source {
    /// Of a response that came over one of hyper's connections, where `stream` counts if it was over HTTP/2.
    pub(crate) fn of(response: Response<Incoming>, stream: Option<OpenStream>) -> Response<Self> {
        let is_stream = response.version() == Version::HTTP_2;
        response.map(|body| if is_stream { Self::Stream { body, _open: stream } } else { Self::Driven(body) })
    }
}

/// hyper takes a stream that was reset with NO_ERROR for one that has ended, and so one that a GOAWAY with that code has cut off. It is complete
/// only where END_STREAM has come: a server sends that code "after sending a complete response" (RFC 9113 §8.1).
fn poll_stream(body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    match ready!(Pin::new(&mut *body).poll_frame(cx)) {
        None if !body.is_end_stream() => Poll::Ready(Some(Err(Incomplete.into()))),
        polled => Poll::Ready(polled.map(|polled| polled.map_err(BoxError::from))),
    }
}

impl UpstreamBody {
    /// `gate` is that of the request's content, if it had one.
    pub(crate) fn new(body: Source, held: Held, gate: Option<Gate>) -> Self {
        let held = match &body {
            Source::Pooled(pooled) if let Some(content) = pooled.content() => {
                content.hold(held);
                None
            }
            _ => Some(held),
        };
        Self { body, _held: held, _expectation: gate.map(Superseded) }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Pooled(_) => "Pooled",
            Self::Driven(_) => "Driven",
            Self::Stream { .. } => "Stream",
            Self::Played(_) => "Played",
        })
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match &mut self.body {
            Source::Empty => Poll::Ready(None),
            Source::Pooled(body) => Pin::new(body).poll_frame(cx).map_err(UpstreamError::BodyBroken),
            Source::Driven(body) => Pin::new(body).poll_frame(cx).map_err(|error| UpstreamError::BodyBroken(error.into())),
            Source::Stream { body, .. } => poll_stream(body, cx).map_err(UpstreamError::BodyBroken),
            Source::Played(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Source::Empty => true,
            Source::Pooled(body) => body.is_end_stream(),
            Source::Driven(body) | Source::Stream { body, .. } => body.is_end_stream(),
            Source::Played(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Source::Empty => SizeHint::with_exact(0),
            Source::Pooled(body) => body.size_hint(),
            Source::Driven(body) | Source::Stream { body, .. } => body.size_hint(),
            Source::Played(body) => body.size_hint(),
        }
    }
}
