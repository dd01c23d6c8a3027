//! Bytes of a body that lie in a tier, so that the log need not hold them. Each reader that is behind what the log holds reads them there, at its
//! own pace: it holds up nobody.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use larder_store::{RemoteBody, RemoteError, SEGMENT, StoreFuture};

use super::InFlight;

/// The beginning of a body that is in a tier.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    body: Arc<dyn RemoteBody>,
    /// Bytes that can be read there: whole segments, until the body has ended.
    pub(super) length: u64,
}

/// A segment on its way to one reader, or taken by it.
pub(super) struct Reading {
    segment: Option<StoreFuture<'static, Result<Bytes, RemoteError>>>,
    /// Bytes of it that the reader does not want.
    skip: usize,
    in_flight: Arc<InFlight>,
}

impl Remote {
    pub(super) fn new(body: Arc<dyn RemoteBody>, length: u64) -> Self {
        Self { body, length }
    }

    /// Begins to read the segment that the byte at `offset` is in, from there on.
    pub(super) fn read(&self, offset: u64, in_flight: &Arc<InFlight>) -> Reading {
        let segment = Arc::clone(&self.body).segment((offset / SEGMENT as u64) as u32);
        in_flight.add(SEGMENT as u64);
        Reading { segment: Some(segment), skip: (offset % SEGMENT as u64) as usize, in_flight: Arc::clone(in_flight) }
    }
}

impl Reading {
    /// Whether its reader has taken it.
    pub(super) fn is_over(&self) -> bool {
        self.segment.is_none()
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, RemoteError>> {
        let Some(segment) = &mut self.segment else { return Poll::Ready(Err(RemoteError::Incomplete)) };
        let read = ready!(segment.as_mut().poll(cx));
        self.segment = None;
        Poll::Ready(read.and_then(|mut segment| match self.skip < segment.len() {
            true => Ok(segment.split_off(self.skip)),
            false => Err(RemoteError::Incomplete),
        }))
    }
}

/// A segment counts as in flight until its reader asks for the next one.
impl Drop for Reading {
    fn drop(&mut self) {
        self.in_flight.take_off(SEGMENT as u64);
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("is_over", &self.is_over()).finish_non_exhaustive()
    }
}
