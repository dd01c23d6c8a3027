//! A long body on the disk: read at any place, or from its start with one chunk ahead of the reader where the disk has to be waited for.

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
use crate::volume::Access;

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

    /// The chunk of this number, proven.
    fn read(&self, number: u32, access: Access) -> Result<Bytes, ReadError> {
        let frame = self.parts.chunk(number, access)?.ok_or(ReadError::Io(io::ErrorKind::UnexpectedEof.into()))?;
        let Some(frames) = &self.frames else { return Ok(frame) };
        let before = u64::from(number) * SEGMENT as u64;
        let length = self.length.load(Ordering::Acquire).saturating_sub(before).min(SEGMENT as u64);
        let segment = frames.read(number, frame, length as usize);
        if matches!(segment, Err(ReadError::Damaged)) {
            self.parts.unreadable();
        }
        segment
    }

    /// The chunk of this number, if the operating system has it in memory: another thread would cost more than the read. A frame takes longer to open
    /// than others on this thread should wait.
    fn cached(&self, number: u32) -> Option<Result<Bytes, RemoteError>> {
        if self.frames.is_some() {
            return None;
        }
        match self.read(number, Access::Cached) {
            Err(error) if error.would_block() => None,
            read => Some(self.outcome(read)),
        }
    }

    async fn segment(self: Arc<Self>, number: u32) -> Result<Bytes, RemoteError> {
        match self.cached(number) {
            Some(read) => read,
            None => self.read_aside(number).await,
        }
    }

    async fn read_aside(self: Arc<Self>, number: u32) -> Result<Bytes, RemoteError> {
        let (tier, body) = (Arc::clone(&self.tier), Arc::clone(&self));
        let error = match tokio::time::timeout(CHUNK_TIMEOUT, tier.blocking(move || body.read(number, Access::Waiting))).await {
            Ok(Some(read)) => return self.outcome(read),
            Ok(None) => RemoteError::Connection,
            Err(_) => RemoteError::Timeout,
        };
        count(&tier.counters.interrupted);
        Err(error)
    }

    /// What the disk has answered.
    fn outcome(&self, read: Result<Bytes, ReadError>) -> Result<Bytes, RemoteError> {
        let tier = &self.tier;
        let error = match read {
            Ok(segment) => return Ok(segment),
            Err(ReadError::Damaged) => RemoteError::Damaged,
            Err(ReadError::Locked) => {
                count(&tier.counters.locked);
                RemoteError::Damaged
            }
            Err(ReadError::Io(error)) => {
                tier.failed(&error);
                refused(&error)
            }
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
    may_read_ahead: bool,
}

impl DiskChunks {
    pub(super) fn new(body: DiskBody, sum: BodySum) -> Self {
        Self { body: Arc::new(body), reading: None, next: 0, left: sum.chunks(), may_read_ahead: true }
    }

    fn begin(&mut self) -> &mut JoinHandle<Result<Bytes, RemoteError>> {
        let (body, number) = (Arc::clone(&self.body), self.next);
        self.next += 1;
        self.reading.insert(tokio::spawn(body.read_aside(number)))
    }

    async fn read(&mut self) -> Option<Result<Bytes, RemoteError>> {
        if self.left == 0 {
            return None;
        }
        if self.reading.is_none()
            && let Some(read) = self.body.cached(self.next)
        {
            self.next += 1;
            return Some(self.handed_out(read, false));
        }
        // Left in its place while it is waited for: who stops waiting may ask again.
        let reading = match &mut self.reading {
            Some(reading) => reading,
            None => self.begin(),
        };
        let read = reading.await;
        self.reading = None;
        Some(self.handed_out(read.unwrap_or(Err(RemoteError::Connection)), true))
    }

    /// Begins to read the next one, where this one had to be waited for.
    fn handed_out(&mut self, read: Result<Bytes, RemoteError>, was_waited_for: bool) -> Result<Bytes, RemoteError> {
        self.left = if read.is_ok() { self.left - 1 } else { 0 };
        if self.left > 0 && was_waited_for && self.may_read_ahead {
            self.begin();
        }
        // A copy: it may be taken into memory, and a buffer is longer than what memory counts.
        read.map(|chunk| Bytes::copy_from_slice(&chunk))
    }
}

impl Chunks for DiskChunks {
    fn next(&mut self) -> StoreFuture<'_, Option<Result<Bytes, RemoteError>>> {
        Box::pin(self.read())
    }

    fn ahead(&self) -> u64 {
        if self.reading.is_some() { SEGMENT as u64 } else { 0 }
    }

    fn limit_ahead(&mut self, segments: usize) {
        self.may_read_ahead = segments > 0;
    }

    fn remote(&self) -> Option<Arc<dyn RemoteBody>> {
        Some(Arc::clone(&self.body) as _)
    }
}
