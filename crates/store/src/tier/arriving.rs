//! A stored response whose body is read from a tier segment by segment.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::body::RemoteBody;
use super::operation::{RemoteError, StoreFuture};
use crate::codec::ResponseRecord;
use crate::entry::StoredResponse;

/// A stored response whose body is on its way. Neither its freshness nor its validity has been looked at.
pub struct Arriving {
    /// All of it but the body.
    pub record: Box<ResponseRecord>,
    /// The body.
    pub chunks: Box<dyn Chunks>,
}

/// A body on its way, in segments of [`SEGMENT`](crate::SEGMENT) bytes and a shorter last one.
pub trait Chunks: Send {
    /// The next segment, proven to be the one at this offset of this body; `None` after the last. After an error nothing more comes.
    fn next(&mut self) -> StoreFuture<'_, Option<Result<Bytes, RemoteError>>>;

    /// Bytes of memory, at most, that what was fetched ahead takes now.
    fn ahead(&self) -> u64;

    /// From now on so many segments may be fetched ahead at most; with none, each is fetched when it is asked for. Until then the tier decides.
    fn limit_ahead(&mut self, segments: usize) {
        let _ = segments;
    }

    /// The same body, to be read at any place; `None` where the tier can only read it from the start to the end.
    fn remote(&self) -> Option<Arc<dyn RemoteBody>> {
        None
    }
}

impl Arriving {
    /// Waits for all of it.
    pub async fn whole(mut self) -> Result<StoredResponse, RemoteError> {
        let mut segments = Vec::new();
        for _ in 0..self.record.body().chunks() {
            segments.push(self.chunks.next().await.unwrap_or(Err(RemoteError::Incomplete))?);
        }
        self.record.complete(segments).map_err(|_| RemoteError::Damaged)
    }
}

impl fmt::Debug for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arriving").field("record", &self.record).finish_non_exhaustive()
    }
}
