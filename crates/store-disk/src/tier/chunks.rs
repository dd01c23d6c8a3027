//! A long body on the disk: read at any place, or from its start with one chunk ahead of the reader.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder_store::codec::BodySum;
use larder_store::{Chunks, RemoteBody, RemoteError, SEGMENT, StoreFuture};
use tokio::task::JoinHandle;

use super::form::FrameReader;
use super::{Tier, count, refused};
use crate::engine::{Parts, ReadError};

/// How long a chunk of a body that is being served may take: a broken response is worse than a late one.
pub(super) const CHUNK_TIMEOUT: Duration = Duration::from_secs(5);

/// Such a body. As long as it lives, what it is made of stays where it is.
#[derive(Debug)]
pub(super) struct DiskBody {
    tier: Arc<Tier>,
    parts: Arc<Parts>,
    /// How its chunks are framed; `None`: they are not.
    frames: Option<FrameReader>,
    /// Its length, as far as it is written.
    length: AtomicU64,
}

impl DiskBody {
    pub(super) fn new(tier: &Arc<Tier>, parts: Arc<Parts>, frames: Option<FrameReader>, length: u64) -> Self {
        Self { tier: Arc::clone(tier), parts, frames, length: AtomicU64::new(length) }
    }

    /// So many more bytes are written.
    pub(super) fn grow(&self, bytes: u64) {
        self.length.fetch_add(bytes, Ordering::Release);
    }

    /// The chunk of this number, proven. For a thread that may block.
    fn read(&self, number: u32) -> Result<Bytes, ReadError> {
        let frame = self.parts.chunk(number)?.ok_or(ReadError::Io(io::ErrorKind::UnexpectedEof.into()))?;
        let Some(frames) = &self.frames else { return Ok(frame) };
        let before = u64::from(number) * SEGMENT as u64;
        let length = self.length.load(Ordering::Acquire).saturating_sub(before).min(SEGMENT as u64);
        let segment = frames.read(number, frame, length as usize);
        if matches!(segment, Err(ReadError::Damaged)) {
            self.parts.unreadable();
        }
        segment
    }

    async fn segment(self: Arc<Self>, number: u32) -> Result<Bytes, RemoteError> {
        let (tier, body) = (Arc::clone(&self.tier), Arc::clone(&self));
        let read = tokio::time::timeout(CHUNK_TIMEOUT, tier.blocking(move || body.read(number))).await;
        let error = match read {
            Ok(Some(Ok(segment))) => return Ok(segment),
            Ok(Some(Err(ReadError::Damaged))) => RemoteError::Damaged,
            Ok(Some(Err(ReadError::Locked))) => {
                count(&tier.counters.locked);
                RemoteError::Damaged
            }
            Ok(Some(Err(ReadError::Io(error)))) => {
                tier.failed(&error);
                refused(&error)
            }
            Ok(None) => RemoteError::Connection,
            Err(_) => RemoteError::Timeout,
        };
        count(&tier.counters.interrupted);
        Err(error)
    }
}

impl RemoteBody for DiskBody {
    fn segment(self: Arc<Self>, number: u32) -> StoreFuture<'static, Result<Bytes, RemoteError>> {
        Box::pin(self.segment(number))
    }
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct DiskChunks {
    body: Arc<DiskBody>,
    /// The chunk that is being read.
    reading: Option<JoinHandle<Result<Bytes, RemoteError>>>,
    /// The number of the next chunk, and how many have not been handed out.
    next: u32,
    left: u64,
}

impl DiskChunks {
    pub(super) fn new(body: DiskBody, sum: BodySum) -> Self {
        Self { body: Arc::new(body), reading: None, next: 0, left: sum.chunks() }
    }

    fn begin(&mut self) -> &mut JoinHandle<Result<Bytes, RemoteError>> {
        let (body, number) = (Arc::clone(&self.body), self.next);
        self.next += 1;
        self.reading.insert(tokio::spawn(body.segment(number)))
    }

    async fn read(&mut self) -> Option<Result<Bytes, RemoteError>> {
        if self.left == 0 {
            return None;
        }
        // Left in its place while it is waited for: who stops waiting may ask again.
        let reading = match &mut self.reading {
            Some(reading) => reading,
            None => self.begin(),
        };
        let read = reading.await;
        self.reading = None;
        Some(match read.unwrap_or(Err(RemoteError::Connection)) {
            Ok(chunk) => {
                self.left -= 1;
                if self.left > 0 {
                    self.begin();
                }
                Ok(chunk)
            }
            Err(error) => {
                self.left = 0;
                Err(error)
            }
        })
    }
}

impl Chunks for DiskChunks {
    fn next(&mut self) -> StoreFuture<'_, Option<Result<Bytes, RemoteError>>> {
        Box::pin(self.read())
    }

    fn ahead(&self) -> u64 {
        if self.reading.is_some() { SEGMENT as u64 } else { 0 }
    }

    fn remote(&self) -> Option<Arc<dyn RemoteBody>> {
        Some(Arc::clone(&self.body) as _)
    }
}
