//! Bytes of a body that lie in a tier, so that the log need not hold them. Each reader that is behind what the log holds reads them there, at its
//! own pace: it holds up nobody. It holds a segment, or a [`SHORT_READ`] of one where the budget for all bodies is used up.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use larder_store::{RemoteBody, RemoteError, SEGMENT, StoreFuture};

use tokio::task::JoinSet;

use super::InFlight;

/// Bytes that a reader takes of a segment while the budget is used up. The segment is read once for each of them, so that a slow reader does not
/// hold all of it.
pub(super) const SHORT_READ: usize = 64 * 1024;

/// The beginning of a body that is in a tier.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    body: Arc<dyn RemoteBody>,
    /// Bytes that can be read there: whole segments, until the body has ended.
    pub(super) length: u64,
}

/// Bytes of a segment on their way to one reader, or taken by it.
pub(super) struct Reading {
    read: Option<StoreFuture<'static, Result<Bytes, RemoteError>>>,
    /// Memory that they take.
    bytes: u64,
    in_flight: Arc<InFlight>,
}

impl Remote {
    pub(super) fn new(body: Arc<dyn RemoteBody>, length: u64) -> Self {
        Self { body, length }
    }

    /// Begins to read the segment that the byte at `offset` is in, from there on.
    pub(super) fn read(&self, offset: u64, in_flight: &Arc<InFlight>) -> Reading {
        let segment = Arc::clone(&self.body).segment((offset / SEGMENT as u64) as u32);
        let skip = (offset % SEGMENT as u64) as usize;
        let (read, bytes): (StoreFuture<'static, _>, _) = match in_flight.is_full() {
            false => (Box::pin(async move { from(segment.await?, skip) }), SEGMENT),
            true => (Box::pin(short(segment, skip)), SHORT_READ),
        };
        in_flight.add(bytes as u64);
        Reading { read: Some(read), bytes: bytes as u64, in_flight: Arc::clone(in_flight) }
    }
}

fn from(mut segment: Bytes, skip: usize) -> Result<Bytes, RemoteError> {
    if skip < segment.len() { Ok(segment.split_off(skip)) } else { Err(RemoteError::Incomplete) }
}

/// A copy of what a reader takes, made by a task: the segment is dropped as soon as it is read, however late its client takes anything.
async fn short(segment: StoreFuture<'static, Result<Bytes, RemoteError>>, skip: usize) -> Result<Bytes, RemoteError> {
    let mut task = JoinSet::new();
    task.spawn(async move {
        let rest = from(segment.await?, skip)?;
        Ok(Bytes::copy_from_slice(&rest[..rest.len().min(SHORT_READ)]))
    });
    task.join_next().await.and_then(Result::ok).unwrap_or(Err(RemoteError::Incomplete))
}

impl Reading {
    /// Whether its reader has taken it.
    pub(super) fn is_over(&self) -> bool {
        self.read.is_none()
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, RemoteError>> {
        let Some(read) = &mut self.read else { return Poll::Ready(Err(RemoteError::Incomplete)) };
        let bytes = ready!(read.as_mut().poll(cx));
        self.read = None;
        Poll::Ready(bytes)
    }
}

/// It counts as in flight until its reader asks for the next one.
impl Drop for Reading {
    fn drop(&mut self) {
        self.in_flight.take_off(self.bytes);
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("is_over", &self.is_over()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{poll_fn, ready};

    use super::*;
    use crate::body::log::{Item, LogHandle, LogReader};

    const LENGTH: usize = 2 * SEGMENT + 1000;

    /// A body whose bytes tell their places.
    #[derive(Debug)]
    struct Stored(Bytes);

    impl RemoteBody for Stored {
        fn segment(self: Arc<Self>, number: u32) -> StoreFuture<'static, Result<Bytes, RemoteError>> {
            let start = number as usize * SEGMENT;
            let segment = self.0.get(start..(start + SEGMENT).min(LENGTH)).map(Bytes::copy_from_slice);
            Box::pin(ready(segment.ok_or(RemoteError::Incomplete)))
        }
    }

    async fn next(reader: &mut LogReader) -> Option<Bytes> {
        match poll_fn(|cx| reader.poll_next(cx)).await.transpose().expect("it is there") {
            Some(Item::Data(data)) => Some(data),
            Some(Item::Trailers(_)) => panic!("it has no trailers"),
            None => None,
        }
    }

    #[tokio::test]
    async fn readers_in_a_tier_hold_the_budget_and_a_short_read_each_and_read_the_same_bytes() {
        let content: Bytes = (0..LENGTH).map(|at| (at / 251 + at) as u8).collect();
        let (limit, count) = (2 * SEGMENT as u64, 40);
        let in_flight = Arc::new(InFlight::new(limit));
        let handle = LogHandle::of_remote(Arc::new(Stored(content.clone())), LENGTH as u64, None, &in_flight);
        let mut readers: Vec<_> = (0..count).map(|_| (handle.reader().expect("it is complete"), Vec::new())).collect();
        while !readers.is_empty() {
            let mut going_on = Vec::new();
            // Each takes something and is slow with it.
            for (mut reader, mut got) in readers {
                match next(&mut reader).await {
                    Some(data) => {
                        got.extend_from_slice(&data);
                        going_on.push((reader, got));
                    }
                    None => assert_eq!(got, content),
                }
            }
            assert!(in_flight.held() <= limit + (count * SHORT_READ) as u64, "{} bytes", in_flight.held());
            readers = going_on;
        }
        assert_eq!(in_flight.held(), 0);
    }

    #[tokio::test]
    async fn a_reader_that_begins_within_a_body_begins_there_too_while_the_budget_is_used_up() {
        let content: Bytes = (0..LENGTH).map(|at| (at / 251 + at) as u8).collect();
        let in_flight = Arc::new(InFlight::new(0));
        let handle = LogHandle::of_remote(Arc::new(Stored(content.clone())), LENGTH as u64, None, &in_flight);
        let mut reader = handle.reader().expect("it is complete");
        let start = SEGMENT + 77;
        assert_eq!(reader.seek(start as u64), start as u64);
        let mut got = Vec::new();
        while let Some(data) = next(&mut reader).await {
            assert!(data.len() <= SHORT_READ);
            got.extend_from_slice(&data);
        }
        assert_eq!(got, content[start..]);
    }
}
