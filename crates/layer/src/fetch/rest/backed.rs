//! A body that is read from its tier at any place. The origin stands in for segments that the tier cannot bring.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use larder_semantics::StoredHead;
use larder_store::{RemoteBody, RemoteError, SEGMENT, StoreFuture};
use tokio::sync::Mutex;
use tracing::debug;

use super::origin::Rest;
use crate::body::aside::Aside;
use crate::lookup::request::ClientRequest;
use crate::service::CacheService;
use crate::upstream::Upstream;

/// See the module's page.
pub(in crate::fetch) struct Backed<S: Upstream> {
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
    /// The number of the last segment, and the segment: who reads only a part of it at a time asks again.
    number: u32,
    segment: Bytes,
    /// Bytes that came beyond it.
    ahead: BytesMut,
    aside: Aside,
}

impl<S: Upstream> Backed<S> {
    /// A body of so many bytes, which answers this request with this head.
    pub(in crate::fetch) fn new(
        body: Arc<dyn RemoteBody>,
        service: CacheService<S>,
        request: Arc<ClientRequest>,
        (head, length): (Arc<StoredHead>, u64),
    ) -> Self {
        Self { body, service, request, head, length, rest: Mutex::new(None) }
    }

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
        let mut from = match rest.take() {
            Some(from) if from.number == number => {
                let segment = from.segment.clone();
                *rest = Some(from);
                return Some(segment);
            }
            Some(from) if from.number + 1 == number => from,
            _ => {
                debug!("a stored body broke off {start} bytes after its beginning: {error}");
                let rest = Rest::ask(&self.service, &self.request, &self.head, (start, self.length), error).await.ok()?;
                let aside = Aside::new(&self.service.cache.in_flight);
                FromOrigin { rest, number, segment: Bytes::new(), ahead: BytesMut::new(), aside }
            }
        };
        while from.ahead.len() < length {
            from.ahead.extend_from_slice(&from.rest.next().await.ok()?);
        }
        let segment = from.ahead.split_to(length).freeze();
        (from.number, from.segment) = (number, segment.clone());
        from.aside.set((from.segment.len() + from.ahead.len()) as u64);
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
