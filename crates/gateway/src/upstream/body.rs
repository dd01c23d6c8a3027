//! A response body as it comes from an origin.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::error::UpstreamError;
use super::expect::{Gate, Superseded};
use super::observe::InFlight;

/// A response body that streams from its origin. One that breaks off ends with an error, never with a clean end, so that nobody
/// takes it for complete (RFC 9112 §8).
#[derive(Debug)]
pub struct UpstreamBody {
    body: Option<Incoming>,
    _in_flight: InFlight,
    _expectation: Option<Superseded>,
}

impl UpstreamBody {
    /// `gate` is that of the request's content, if it had one.
    pub(super) fn new(body: Incoming, in_flight: InFlight, gate: Option<Gate>) -> Self {
        Self { body: Some(body), _in_flight: in_flight, _expectation: gate.map(Superseded) }
    }

    /// For a response that ends with its head, such as `101 Switching Protocols`.
    pub(super) fn empty(in_flight: InFlight) -> Self {
        Self { body: None, _in_flight: in_flight, _expectation: None }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match &mut self.body {
            None => Poll::Ready(None),
            Some(body) => Pin::new(body).poll_frame(cx).map_err(|error| UpstreamError::BodyBroken(error.into())),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}
