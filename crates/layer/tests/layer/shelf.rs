//! A tier that takes bodies while they arrive, in memory, with faults by script.

use std::collections::HashMap;
use std::future::ready;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use larder_store::codec::{Record, ResponseRecord, decode, encode_record};
use larder_store::{
    Arriving, Chunks, LoadRequest, Loaded, LogPosition, NewRemoteBody, RemoteBody, RemoteBodyWriter, RemoteError, RemoteStore, StoreFuture,
    StoredResponse, Write,
};

/// By their keys: the frame of the head, and the body.
pub(crate) type Entries = HashMap<String, (Bytes, Arc<Segments>)>;

/// A tier that keeps what it takes while it arrives, and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    entries: Arc<Mutex<Entries>>,
    pub(crate) faults: Arc<Faults>,
    /// What was written by other ways.
    pub(crate) commits: AtomicUsize,
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) refuses: AtomicBool,
    /// Writes that succeed before the next one fails; 0: all do.
    pub(crate) writes: AtomicUsize,
    /// Reads fail.
    pub(crate) reads: AtomicBool,
}

/// A body, and how often it was read.
#[derive(Debug)]
pub(crate) struct Segments {
    written: Mutex<Vec<Bytes>>,
    reads: Mutex<Vec<u32>>,
    faults: Arc<Faults>,
}

impl RemoteBody for Segments {
    fn segment(self: Arc<Self>, number: u32) -> StoreFuture<'static, Result<Bytes, RemoteError>> {
        self.reads.lock().unwrap().push(number);
        let segment = self.written.lock().unwrap().get(number as usize).cloned();
        let fails = self.faults.reads.load(Ordering::SeqCst);
        Box::pin(ready(segment.filter(|_| !fails).ok_or(RemoteError::Damaged)))
    }
}

struct Writer {
    key: String,
    body: Arc<Segments>,
    entries: Arc<Mutex<Entries>>,
}

impl RemoteBodyWriter for Writer {
    fn body(&self) -> Arc<dyn RemoteBody> {
        Arc::clone(&self.body) as _
    }

    fn write(&mut self, segment: Bytes) -> StoreFuture<'_, Result<(), RemoteError>> {
        let mut written = self.body.written.lock().unwrap();
        let fails = self.body.faults.writes.load(Ordering::SeqCst) == written.len() + 1;
        if !fails {
            written.push(segment);
        }
        Box::pin(ready(if fails { Err(RemoteError::Refused) } else { Ok(()) }))
    }

    fn commit(self: Box<Self>, record: ResponseRecord, _: Duration, _: LogPosition) -> StoreFuture<'static, Result<(), RemoteError>> {
        let frame = encode_record(&record, record.position()).into();
        self.entries.lock().unwrap().insert(self.key, (frame, self.body));
        Box::pin(ready(Ok(())))
    }
}

struct FromShelf(Arc<Segments>, u32);

impl Chunks for FromShelf {
    fn next(&mut self) -> StoreFuture<'_, Option<Result<Bytes, RemoteError>>> {
        let number = self.1;
        self.1 += 1;
        let segment = Arc::clone(&self.0).segment(number);
        Box::pin(async move { Some(segment.await) })
    }

    fn ahead(&self) -> u64 {
        0
    }

    fn remote(&self) -> Option<Arc<dyn RemoteBody>> {
        Some(Arc::clone(&self.0) as _)
    }
}

impl RemoteStore for Shelf {
    fn name(&self) -> &'static str {
        "shelf"
    }

    fn load<'a>(&'a self, ask: LoadRequest<'a>) -> StoreFuture<'a, Result<Loaded, RemoteError>> {
        let found = self.entries().get(ask.key.text()).cloned();
        let loaded = found.and_then(|(frame, body)| match decode(frame, ask.key, None) {
            Ok(Record::Response(record)) if record.fetch() > ask.newer_than => {
                Some(Loaded::Arriving(Arriving { record, chunks: Box::new(FromShelf(body, 0)) }))
            }
            _ => None,
        });
        Box::pin(async move {
            // Requests that come meanwhile wait for it.
            tokio::task::yield_now().await;
            Ok(loaded.unwrap_or(Loaded::Nothing(None)))
        })
    }

    fn begin_body(&self, new: NewRemoteBody<'_>) -> Option<Box<dyn RemoteBodyWriter>> {
        if self.faults.refuses.load(Ordering::SeqCst) {
            return None;
        }
        let body = Segments { written: Mutex::default(), reads: Mutex::default(), faults: Arc::clone(&self.faults) };
        Some(Box::new(Writer { key: new.key.text().to_owned(), body: Arc::new(body), entries: Arc::clone(&self.entries) }))
    }

    fn commit(&self, _: Write) -> StoreFuture<'_, ()> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        Box::pin(ready(()))
    }

    fn freshen(&self, _: Write) -> StoreFuture<'_, ()> {
        Box::pin(ready(()))
    }

    fn remove(&self, response: &StoredResponse) {
        let is_it = |frame: &Bytes| match decode(frame.clone(), &response.key(), None) {
            Ok(Record::Response(record)) => record.fetch() <= response.fetch,
            _ => false,
        };
        self.entries().retain(|_, (frame, _)| !is_it(frame));
    }
}

impl Shelf {
    pub(crate) fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap()
    }

    /// The segments that were read of the one body that is there.
    pub(crate) fn reads(&self) -> Vec<u32> {
        let entries = self.entries();
        let (_, body) = entries.values().next().expect("one is there");
        body.reads.lock().unwrap().clone()
    }
}
