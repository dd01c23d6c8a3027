//! Bodies that are too long for the memory, written while they arrive.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_disk_options::DiskOptions;
use larder_store::codec::{ResponseRecord, encode_record};
use larder_store::{BreakerState, LogPosition, NewRemoteBody, RemoteBody, RemoteBodyWriter, RemoteError, StoreFuture};
use tokio::sync::OwnedSemaphorePermit;

use super::chunks::{CHUNK_TIMEOUT, DiskBody};
use super::form::{ArrivingForm, FrameReader, sealed_head};
use super::{Tier, count, hash_of, refused};
use crate::engine::{Engine, NewBody, NewEntry, Spool};
use crate::observer::DiskOperation;

/// Bodies that are written while they arrive, at the same time. Each holds some hundred KiB of memory, and the ring has to keep what they are made of.
pub(super) const MAX_SPOOLS: usize = 32;

/// See the module's page.
pub(super) struct DiskBodyWriter {
    tier: Arc<Tier>,
    engine: Arc<Engine>,
    body: Arc<DiskBody>,
    /// `None` after an error.
    spool: Option<Spool>,
    form: Option<ArrivingForm>,
    hash: u64,
    written: u64,
    _permit: OwnedSemaphorePermit,
}

impl DiskBodyWriter {
    /// `None`: it is not admitted, or the disk does not take it now.
    pub(super) fn begin(tier: &Arc<Tier>, new: NewRemoteBody<'_>) -> Option<Self> {
        let engine = tier.engine()?;
        let hash = hash_of(engine.seed(), new.key, new.variant);
        let now = (tier.clocks.monotonic)();
        if new.length.is_some_and(|length| length > tier.options.max_object) || !tier.admits_body(&engine, hash) {
            return None;
        }
        if !tier.rate_allows(now) {
            count(&tier.counters.held_back);
            return None;
        }
        if tier.writing.state(now) == BreakerState::Open {
            return None;
        }
        let permit = Arc::clone(&tier.spools).try_acquire_owned().ok()?;
        let form = ArrivingForm::of(&tier.options, hash, &new);
        let spool = engine.spool(hash, new.fetch, form.is_some());
        let frames = form.as_ref().map(|_| FrameReader::arriving(tier.options.keys.as_ref(), hash, new.fetch));
        let body = Arc::new(DiskBody::new(tier, Arc::clone(spool.parts()), frames, 0));
        Some(Self { tier: Arc::clone(tier), engine, body, spool: Some(spool), form, hash, written: 0, _permit: permit })
    }

    async fn write(&mut self, segment: Bytes) -> Result<(), RemoteError> {
        let length = segment.len() as u64;
        let is_taken = self.written + length <= self.tier.options.max_object && self.tier.engine().is_some();
        let mut spool = self.spool.take().filter(|_| is_taken).ok_or(RemoteError::Refused)?;
        let (form, now) = (self.form.clone(), self.tier.clocks.now());
        let before = self.engine.written_bytes();
        let spool = self.tier.try_write(move || {
            let chunk = match form {
                Some(form) => form.frame(spool.next(), segment)?,
                None => segment,
            };
            spool.write(chunk, now).map(|()| spool)
        });
        self.spool = Some(spool.await?);
        self.tier.rate_spends(self.engine.written_bytes() - before);
        self.written += length;
        self.body.grow(length);
        Ok(())
    }

    async fn commit(mut self, record: ResponseRecord, keep: Duration, position: LogPosition) -> Result<(), RemoteError> {
        let spool = self.spool.take().ok_or(RemoteError::Refused)?;
        let began = (self.tier.clocks.monotonic)();
        let now = self.tier.clocks.now();
        let expires = now.saturating_add(u32::try_from(keep.as_secs()).unwrap_or(u32::MAX));
        let (tier, engine, hash) = (Arc::clone(&self.tier), Arc::clone(&self.engine), self.hash);
        let fetch = record.fetch();
        let stored = self.tier.try_write(move || {
            if let Some(variant) = record.variant() {
                engine.commit(tier.selecting(&engine, record.key(), variant, record.fetch(), expires)?, now)?;
            }
            let frame = sealed_head(tier.options.keys.as_ref(), hash, encode_record(&record, record.position().shared()))?;
            let body = NewBody::Spooled(Arc::clone(spool.parts()));
            engine.commit(NewEntry { hash, fetch, expires, position: Some(position), frame, body }, now)
        });
        let stored = stored.await.map(drop);
        self.tier.observing.tell(DiskOperation::Commit, stored, (self.tier.clocks.monotonic)().saturating_duration_since(began));
        if stored.is_ok() {
            count(&self.tier.counters.written);
        } else {
            self.tier.lose(&self.engine, self.hash, fetch.saturating_sub(1));
        }
        stored
    }
}

impl RemoteBodyWriter for DiskBodyWriter {
    fn body(&self) -> Arc<dyn RemoteBody> {
        Arc::clone(&self.body) as _
    }

    fn write(&mut self, segment: Bytes) -> StoreFuture<'_, Result<(), RemoteError>> {
        Box::pin(self.write(segment))
    }

    fn commit(
        self: Box<Self>,
        record: ResponseRecord,
        keep: Duration,
        log_position: LogPosition,
    ) -> StoreFuture<'static, Result<(), RemoteError>> {
        Box::pin((*self).commit(record, keep, log_position))
    }
}

impl Tier {
    /// Does a part of a write that a client may wait for, on a thread for that.
    async fn try_write<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let pass = self.writing.pass((self.clocks.monotonic)()).ok_or(RemoteError::Open)?;
        let error = match tokio::time::timeout(CHUNK_TIMEOUT, self.blocking_with(&self.writes, work)).await {
            Ok(Some(Ok(done))) => {
                pass.succeeded();
                return Ok(done);
            }
            Ok(Some(Err(error))) => {
                self.failed(&error);
                refused(&error)
            }
            Ok(None) => RemoteError::Connection,
            Err(_) => RemoteError::Timeout,
        };
        count(&self.counters.dropped);
        pass.failed((self.clocks.monotonic)());
        Err(error)
    }
}

impl ArrivingForm {
    fn of(options: &DiskOptions, hash: u64, new: &NewRemoteBody<'_>) -> Option<Self> {
        // One of unknown length is longer than the memory takes.
        Self::new(options, (hash, new.fetch), new.head, new.length.unwrap_or(u64::MAX))
    }
}
