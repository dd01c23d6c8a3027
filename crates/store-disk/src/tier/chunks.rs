//! A long body on its way from the disk: one chunk is read ahead of its reader.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_store::codec::BodySum;
use larder_store::{Chunks, RemoteError, SEGMENT, StoreFuture};
use tokio::task::JoinHandle;

use super::form::FrameReader;
use super::{Tier, count, refused};
use crate::engine::{PartsReader, ReadError};

/// How long a chunk of a body that is being served may take: a broken response is worse than a late one.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(5);

type ReadResult = Option<(PartsReader, Result<Option<Bytes>, ReadError>)>;

/// See the module's page.
#[derive(Debug)]
pub(super) struct DiskChunks {
    tier: Arc<Tier>,
    /// The chunk that is being read.
    reading: Option<JoinHandle<ReadResult>>,
    /// Where they are framed.
    frames: Option<FrameReader>,
    /// The number of the next chunk, and how many have not been handed out.
    next: u32,
    left: u64,
}

impl DiskChunks {
    pub(super) fn new(tier: &Arc<Tier>, reader: PartsReader, frames: Option<FrameReader>, body: BodySum) -> Self {
        let mut chunks = Self { tier: Arc::clone(tier), reading: None, frames, next: 0, left: body.chunks() };
        chunks.begin(reader);
        chunks
    }

    fn begin(&mut self, mut reader: PartsReader) {
        let (tier, frames, number) = (Arc::clone(&self.tier), self.frames.clone(), self.next);
        self.next += 1;
        let read = move || {
            let mut result = reader.next();
            if let (Some(frames), Ok(Some(frame))) = (frames, &mut result) {
                result = frames.read(number, std::mem::take(frame)).map(Some);
                if matches!(result, Err(ReadError::Damaged)) {
                    reader.unreadable();
                }
            }
            (reader, result)
        };
        self.reading = Some(tokio::spawn(async move { tier.blocking(read).await }));
    }

    async fn read(&mut self) -> Option<Result<Bytes, RemoteError>> {
        if self.left == 0 {
            return None;
        }
        // Left in its place while it is waited for: who stops waiting may ask again.
        let reading = self.reading.as_mut()?;
        let read = tokio::time::timeout(CHUNK_TIMEOUT, reading).await;
        self.reading = None;
        let error = match read {
            Ok(Ok(Some((reader, Ok(Some(chunk)))))) => {
                self.left -= 1;
                if self.left > 0 {
                    self.begin(reader);
                }
                return Some(Ok(chunk));
            }
            Ok(Ok(Some((_, Ok(None))))) => RemoteError::Incomplete,
            Ok(Ok(Some((_, Err(ReadError::Damaged))))) => RemoteError::Damaged,
            Ok(Ok(Some((_, Err(ReadError::Locked))))) => {
                count(&self.tier.counters.locked);
                RemoteError::Damaged
            }
            Ok(Ok(Some((_, Err(ReadError::Io(error)))))) => {
                self.tier.failed(&error);
                refused(&error)
            }
            Ok(Ok(None) | Err(_)) => RemoteError::Connection,
            Err(_) => RemoteError::Timeout,
        };
        count(&self.tier.counters.interrupted);
        self.left = 0;
        Some(Err(error))
    }
}

impl Chunks for DiskChunks {
    fn next(&mut self) -> StoreFuture<'_, Option<Result<Bytes, RemoteError>>> {
        Box::pin(self.read())
    }

    fn ahead(&self) -> u64 {
        if self.reading.is_some() { SEGMENT as u64 } else { 0 }
    }
}
