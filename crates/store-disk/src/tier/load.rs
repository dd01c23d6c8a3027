//! Look-ups.

use std::sync::Arc;

use bytes::Bytes;
use larder_packing::MIN_OFFLOADED;
use larder_store::codec::{Record, ResponseRecord, Unreadable, decode};
use larder_store::{Arriving, LoadRequest, Loaded, LogPosition, Pass, RemoteError, StoredBody, Variant};
use tokio::sync::Semaphore;

use super::chunks::{DiskBody, DiskChunks};
use super::form::{FrameReader, opened_head};
use super::{Tier, count, hash_of, refused};
use crate::engine::{Engine, Found, FoundBody, ReadError};
use crate::observer::DiskOperation;
use crate::volume::Access;

impl Tier {
    /// The response for a request.
    pub(super) async fn load(self: &Arc<Self>, ask: LoadRequest<'_>) -> Result<Loaded, RemoteError> {
        let Some(engine) = &self.engine() else { return Ok(Loaded::Nothing(None)) };
        let mut variant = ask.spec.map(|spec| Variant::of(spec.clone(), ask.request));
        loop {
            let hash = hash_of(engine.seed(), ask.key, variant.as_ref());
            // Most misses end here, without a thread.
            if !engine.knows(hash) {
                return Ok(Loaded::Nothing(None));
            }
            let Some(found) = self.find(engine, hash).await? else { return Ok(Loaded::Nothing(None)) };
            let Some(frame) = opened_head(self.options.keys.as_ref(), hash, found.frame.clone()) else {
                return Ok(self.locked(engine, &found));
            };
            match decode(frame, ask.key, variant.as_ref()) {
                Ok(Record::Response(record)) => return self.judged(engine, *record, (hash, found), ask.newer_than).await,
                Ok(Record::Selecting(spec)) if variant.is_none() => variant = Some(Variant::of(spec, ask.request)),
                Err(Unreadable::Damaged) => {
                    engine.unreadable(&found);
                    return Err(RemoteError::Damaged);
                }
                // Of another key by a collision, or of another version.
                Ok(Record::Selecting(_)) | Err(Unreadable::OtherKey | Unreadable::OtherFormat) => return Ok(Loaded::Nothing(None)),
            }
        }
    }

    async fn find(self: &Arc<Self>, engine: &Arc<Engine>, hash: u64) -> Result<Option<Found>, RemoteError> {
        let began = (self.clocks.monotonic)();
        let pass = self.reading.pass(began).ok_or(RemoteError::Open)?;
        // What the operating system has in memory is read at once: another thread would cost more than the read.
        let found = match engine.find(hash, self.clocks.now(), Access::Cached) {
            Err(error) if error.would_block() => self.read(engine, hash, pass).await,
            found => self.outcome(found, pass),
        };
        let outcome = found.as_ref().map(|_| ()).map_err(|error| *error);
        self.observing.tell(DiskOperation::Load, outcome, (self.clocks.monotonic)().saturating_duration_since(began));
        found
    }

    async fn read(self: &Arc<Self>, engine: &Arc<Engine>, hash: u64, pass: Pass<'_>) -> Result<Option<Found>, RemoteError> {
        let (reader, now) = (Arc::clone(engine), self.clocks.now());
        let reading = self.blocking(move || reader.find(hash, now, Access::Waiting));
        let error = match tokio::time::timeout(self.options.timeout, reading).await {
            Ok(Some(found)) => return self.outcome(found, pass),
            Ok(None) => RemoteError::Connection,
            Err(_) => RemoteError::Timeout,
        };
        if pass.failed((self.clocks.monotonic)()) && error == RemoteError::Timeout {
            self.say_problem(format!("{} does not answer in time", self.options.path.display()));
        }
        Err(error)
    }

    /// What the disk has answered.
    fn outcome(&self, found: Result<Option<Found>, ReadError>, pass: Pass<'_>) -> Result<Option<Found>, RemoteError> {
        match found {
            Ok(found) => {
                pass.succeeded();
                Ok(found)
            }
            Err(ReadError::Damaged | ReadError::Locked) => {
                pass.succeeded();
                Err(RemoteError::Damaged)
            }
            Err(ReadError::Io(error)) => {
                self.failed(&error);
                pass.failed((self.clocks.monotonic)());
                Err(refused(&error))
            }
        }
    }

    /// Runs what blocks on a thread for that. `None`: there is none, for the process ends.
    pub(super) async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        self.blocking_with(&self.reads, work).await
    }

    /// The same within other permits than those for reads.
    pub(super) async fn blocking_with<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        let work = move || {
            let result = work();
            // Held for as long as the thread is in it, whether somebody waits or not.
            drop(permit);
            result
        };
        tokio::task::spawn_blocking(work).await.ok()
    }

    async fn judged(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        record: ResponseRecord,
        (hash, found): (u64, Found),
        newer_than: u64,
    ) -> Result<Loaded, RemoteError> {
        if record.fetch() <= newer_than {
            return Ok(Loaded::Nothing(None));
        }
        let Some(position) = found.position else {
            engine.unreadable(&found);
            return Err(RemoteError::Damaged);
        };
        if self.ledger.position_of(position).is_none() {
            return self.cannot_judge(engine, &found, position);
        }
        self.works();
        let keys = self.options.keys.as_ref();
        let frames = FrameReader::new(keys, hash, &record);
        let is_plain = match &found.body {
            FoundBody::Inline(body) => !body.is_empty(),
            FoundBody::Parts(reader) => !reader.is_framed(),
            FoundBody::Framed(_) | FoundBody::Selecting => false,
        };
        // Where everything is sealed, only who has a key can have written it.
        if keys.is_some() && is_plain {
            return Ok(self.locked(engine, &found));
        }
        match found.body {
            FoundBody::Framed(ref frame) => match self.unframed(&frames, frame.clone(), record.body().chunk_length(0)).await? {
                Ok(segment) => {
                    record.complete(vec![segment]).map(|response| Loaded::Response(Arc::new(response))).map_err(|_| RemoteError::Damaged)
                }
                Err(ReadError::Locked) => Ok(self.locked(engine, &found)),
                Err(_) => {
                    engine.unreadable(&found);
                    Err(RemoteError::Damaged)
                }
            },
            FoundBody::Inline(body) => {
                // A copy: a slice would keep the head's bytes in memory too.
                let segments = if body.is_empty() { Vec::new() } else { vec![Bytes::copy_from_slice(&body)] };
                // Proven with its head, by one checksum over both.
                let body =
                    StoredBody::from_segments(segments, record.trailers().cloned()).filter(|body| body.len() == record.body().length);
                let response = record.with_body(body.ok_or(RemoteError::Damaged)?);
                Ok(Loaded::Response(Arc::new(response)))
            }
            FoundBody::Parts(reader) => {
                let frames = reader.is_framed().then_some(frames);
                let body = DiskBody::new(self, reader, frames, record.body().length);
                let chunks = Box::new(DiskChunks::new(body, record.body()));
                Ok(Loaded::Arriving(Arriving { record: Box::new(record), chunks }))
            }
            FoundBody::Selecting => Err(RemoteError::Damaged),
        }
    }

    /// The content of a frame. A long one is opened aside: that takes longer than others on this thread should wait.
    async fn unframed(&self, frames: &FrameReader, frame: Bytes, length: usize) -> Result<Result<Bytes, ReadError>, RemoteError> {
        if (frame.len() as u64) < MIN_OFFLOADED {
            return Ok(frames.read(0, frame, length));
        }
        let frames = frames.clone();
        self.blocking(move || frames.read(0, frame, length)).await.ok_or(RemoteError::Connection)
    }

    /// Counts a response that no key opens, and forgets it.
    fn locked(&self, engine: &Engine, found: &Found) -> Loaded {
        count(&self.counters.locked);
        engine.outdated(found);
        Loaded::Nothing(None)
    }

    /// Not everything that was invalidated since is known: not yet, or never again.
    fn cannot_judge(&self, engine: &Engine, found: &Found, stored: LogPosition) -> Result<Loaded, RemoteError> {
        match self.ledger.log_position(self.ledger.position()) {
            None => Err(RemoteError::Unvouched),
            // Another process has put it into the log that this one reads.
            Some(current) if current.epoch == stored.epoch && stored.number > current.number => Err(RemoteError::Unvouched),
            Some(_) => {
                engine.outdated(found);
                Ok(Loaded::Nothing(None))
            }
        }
    }
}
