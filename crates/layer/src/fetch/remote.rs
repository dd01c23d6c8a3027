//! A stored response whose body is too long for the memory: it is read from its tier by each request for itself, at any place.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use larder_semantics::StoredHead;
use larder_store::codec::ResponseRecord;
use larder_store::{RemoteBody, RemoteError, SEGMENT, StoreFuture};
use tokio::sync::{Mutex, oneshot};
use tracing::debug;

use super::rest::Rest;
use super::state::Fetch;
use crate::body::log::LogHandle;
use crate::body::pending::{PendingBody, PendingResponse};
use crate::collapse::outcome::{FetchOutcome, Own, Reply};
use crate::lookup::request::ClientRequest;
use crate::service::CacheService;
use crate::upstream::Upstream;

impl Fetch {
    /// Hands the body to the client and to the requests that wait. Nothing of it is kept in memory, and no later request waits for it.
    pub(super) fn serve_remote<S: Upstream>(
        mut self: Box<Self>,
        service: CacheService<S>,
        record: &ResponseRecord,
        body: Arc<dyn RemoteBody>,
        reply: oneshot::Sender<Reply<S::Body>>,
    ) {
        let (head, length, in_flight) = (Arc::clone(record.head()), record.body().length, Arc::clone(&service.cache.in_flight));
        let body = Backed { body, service, request: Arc::clone(&self.request), head: Arc::clone(&head), length, rest: Mutex::new(None) };
        let handle = LogHandle::of_remote(Arc::new(body), length, record.trailers().cloned(), &in_flight);
        let pending = Arc::new(PendingResponse {
            head,
            variant: record.variant().cloned(),
            body: PendingBody::Arriving(handle),
            length: Some(length),
            tags: record.tags().clone(),
            more_tags: false,
            position: record.position(),
        });
        let Some(reader) = pending.body.reader() else { return };
        drop(self.deliver(FetchOutcome::Arriving(pending), Own::Reader(reader), reply));
    }
}

/// Such a body. The origin stands in for what its tier cannot bring.
struct Backed<S: Upstream> {
    body: Arc<dyn RemoteBody>,
    service: CacheService<S>,
    request: Arc<ClientRequest>,
    head: Arc<StoredHead>,
    length: u64,
    /// The origin's answer, where it has been asked.
    rest: Mutex<Option<FromOrigin<S::Body>>>,
}

/// The body from a certain place on, as it comes from the origin.
struct FromOrigin<B> {
    rest: Rest<B>,
    /// The number of the next segment, and bytes that came beyond the one before it.
    next: u32,
    ahead: BytesMut,
}

impl<S: Upstream> Backed<S> {
    async fn read(self: Arc<Self>, number: u32) -> Result<Bytes, RemoteError> {
        match Arc::clone(&self.body).segment(number).await {
            Ok(segment) => Ok(segment),
            Err(error) => self.origins_segment(number, error).await.ok_or(error),
        }
    }

    /// The segment, from an origin that still has the same representation.
    async fn origins_segment(&self, number: u32, error: RemoteError) -> Option<Bytes> {
        let start = u64::from(number) * SEGMENT as u64;
        let length = self.length.checked_sub(start)?.min(SEGMENT as u64) as usize;
        let mut rest = self.rest.lock().await;
        let mut from = match rest.take().filter(|from| from.next == number) {
            Some(from) => from,
            None => {
                debug!("a stored body broke off {start} bytes after its beginning: {error}");
                let rest = Rest::ask(&self.service, &self.request, &self.head, (start, self.length), error).await.ok()?;
                FromOrigin { rest, next: number, ahead: BytesMut::new() }
            }
        };
        while from.ahead.len() < length {
            from.ahead.extend_from_slice(&from.rest.next().await.ok()?);
        }
        let segment = from.ahead.split_to(length).freeze();
        from.next += 1;
        *rest = Some(from);
        Some(segment)
    }
}

impl<S: Upstream> RemoteBody for Backed<S> {
    fn segment(self: Arc<Self>, number: u32) -> StoreFuture<'static, Result<Bytes, RemoteError>> {
        Box::pin(self.read(number))
    }
}

impl<S: Upstream> fmt::Debug for Backed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backed").field("body", &self.body).finish_non_exhaustive()
    }
}
