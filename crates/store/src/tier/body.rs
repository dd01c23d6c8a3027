//! A body that lies in a tier and not in memory: read at any place by any number of readers, while it is written too.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_semantics::{PrimaryKey, StoredHead};

use super::operation::{RemoteError, StoreFuture};
use crate::codec::ResponseRecord;
use crate::entry::Variant;
use crate::ledger::LogPosition;

/// A body in a tier, in segments of [`SEGMENT`](crate::SEGMENT) bytes and a shorter last one. The tier keeps it for as long as this lives.
pub trait RemoteBody: Send + Sync + fmt::Debug {
    /// The segment of this number, from 0, proven to be the one at this place of this body.
    fn segment(self: Arc<Self>, number: u32) -> StoreFuture<'static, Result<Bytes, RemoteError>>;
}

/// A body that begins to arrive and is too long for the memory.
#[derive(Clone, Copy, Debug)]
pub struct NewRemoteBody<'a> {
    /// The primary key of its response.
    pub key: &'a PrimaryKey,
    /// Which requests that is for; `None` without `Vary`.
    pub variant: Option<&'a Variant>,
    /// Status and fields.
    pub head: &'a StoredHead,
    /// The number of its fetch.
    pub fetch: u64,
    /// Its length in bytes, where that was announced.
    pub length: Option<u64>,
}

/// A body on its way into a tier. Dropped without [`Self::commit`], it leaves nothing that is found.
pub trait RemoteBodyWriter: Send {
    /// The body, as far as it is written.
    fn body(&self) -> Arc<dyn RemoteBody>;

    /// Writes the next segment: [`SEGMENT`](crate::SEGMENT) bytes, only the last one shorter. Once this is ready, it can be read. After an error the body
    /// can be read as far as it was written before, and nothing more can be written.
    fn write(&mut self, segment: Bytes) -> StoreFuture<'_, Result<(), RemoteError>>;

    /// Stores the response whose body was written, to be of use for so long. `log_position` is as in [`Write`](super::Write).
    fn commit(
        self: Box<Self>,
        record: ResponseRecord,
        keep: Duration,
        log_position: LogPosition,
    ) -> StoreFuture<'static, Result<(), RemoteError>>;
}
