//! A body that is read from its tier at any place. The origin stands in for segments that the tier cannot bring.

use std::fmt;
use std::sync::{Arc, PoisonError};

use bytes::{Bytes, BytesMut};
use larder_semantics::StoredHead;
use larder_store::{RemoteBody, RemoteError, SEGMENT, StoreFuture};
use tokio::sync::Mutex;
use tracing::debug;

use super::origin::{Rest, STALL, within};
use crate::body::aside::Aside;
use crate::lookup::request::ClientRequest;
use crate::service::CacheService;
use crate::upstream::Upstream;

/// Answers of the origin for one body at a time: readers at different places have one each, up to so many.
const MAX_ANSWERS: usize = 4;

/// An answer of the origin; `None` before it has come, and after it broke off.
type Answer<B> = Arc<Mutex<Option<FromOrigin<B>>>>;

/// See the module's page.
pub(in crate::fetch) struct Backed<S: Upstream> {
    body: Arc<dyn RemoteBody>,
    service: CacheService<S>,
    request: Arc<ClientRequest>,
    head: Arc<StoredHead>,
    length: u64,
    /// The origin's answers, and the segment that each was asked for last; the one read most recently last.
    answers: std::sync::Mutex<Vec<(u32, Answer<S::Body>)>>,
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
        Self { body, service, request, head, length, answers: std::sync::Mutex::default() }
    }

    async fn read(self: Arc<Self>, number: u32) -> Result<Bytes, RemoteError> {
        match Arc::clone(&self.body).segment(number).await {
            Ok(segment) => {
                self.has_passed(number);
                Ok(segment)
            }
            Err(error) => self.origins_segment(number, error).await.ok_or(error),
        }
    }

    /// The segment, from an origin that still has the same representation.
    async fn origins_segment(&self, number: u32, error: RemoteError) -> Option<Bytes> {
        let start = u64::from(number) * SEGMENT as u64;
        let length = self.length.checked_sub(start)?.min(SEGMENT as u64) as usize;
        let answer = self.answer_at(number);
        let mut answer = answer.lock().await;
        let mut from = match answer.take() {
            Some(from) if from.number == number => return Some(answer.insert(from).segment.clone()),
            Some(from) if from.number + 1 == number => from,
            _ => {
                debug!("a stored body broke off {start} bytes after its beginning: {error}");
                let rest = Rest::ask(&self.service, &self.request, &self.head, (start, self.length), error).await.ok()?;
                let aside = Aside::new(&self.service.cache.in_flight);
                FromOrigin { rest, number, segment: Bytes::new(), ahead: BytesMut::new(), aside }
            }
        };
        while from.ahead.len() < length {
            from.ahead.extend_from_slice(&within(STALL, from.rest.next()).await.ok()?.ok()?);
        }
        let segment = from.ahead.split_to(length).freeze();
        (from.number, from.segment) = (number, segment.clone());
        from.aside.set((from.segment.len() + from.ahead.len()) as u64);
        *answer = Some(from);
        Some(segment)
    }

    /// The tier has brought this segment: its reader has no use for the answer of the origin that is just before it, which takes a place there.
    fn has_passed(&self, number: u32) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).retain(|(at, _)| *at + 1 != number);
    }

    /// The answer that is at this segment or just before it, or room for a new one, in the place of that which was read least recently.
    fn answer_at(&self, number: u32) -> Answer<S::Body> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let found = answers.iter().position(|(at, _)| *at == number || *at + 1 == number);
        let answer = found.map_or_else(Arc::default, |index| answers.remove(index).1);
        if answers.len() >= MAX_ANSWERS {
            answers.remove(0);
        }
        answers.push((number, Arc::clone(&answer)));
        answer
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
