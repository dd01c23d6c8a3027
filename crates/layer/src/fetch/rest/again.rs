//! An answer once more, from an origin that is asked again: for a body whose other source broke off, and of which no rest can be asked for, since its
//! length is not known or no strong entity tag tells its representation from others. What was sent already is skipped, once it has proven to be the
//! same bytes. Where the second answer differs, the body breaks off: its clients never get a mixture.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE, LAST_MODIFIED};
use http::{HeaderName, Method, Request, Response};
use http_body::Frame;
use larder_semantics::content::Asked;
use larder_semantics::storage::is_event_stream;
use larder_semantics::validation::upstream_fields;
use larder_semantics::{Disposition, Exchange, MethodKind, RequestContext, StoredHead, VarySpec, on_response};
use larder_store::RemoteError;
use larder_store::codec::ResponseRecord;
use tracing::debug;
use xxhash_rust::xxh3::Xxh3Default;

use super::origin::{STALL, within};
use crate::body::request::RequestBody;
use crate::error::{BodyError, FetchError};
use crate::fetch::state::own_policy;
use crate::lookup::request::ClientRequest;
use crate::rules::Guarded;
use crate::service::CacheService;
use crate::upstream::{Upstream, UpstreamBody, announced_length, call_timed};

/// Fields that say what a body is, beside its entity tag.
const OF_THE_BODY: [HeaderName; 5] = [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, LAST_MODIFIED];

/// The answer that broke off: what another one has to be the same in.
pub(in crate::fetch) struct Before {
    head: Arc<StoredHead>,
    vary: Option<VarySpec>,
    length: Option<u64>,
    /// What was sent of its body.
    hasher: Xxh3Default,
    sent: u64,
}

/// The second answer, from the byte on at which the first one broke off.
pub(in crate::fetch) struct Again<B> {
    body: Pin<Box<B>>,
    /// Bytes that came with the last that were skipped.
    begun: Bytes,
}

/// Why it cannot go on where the first one broke off.
enum Flaw {
    /// It is another answer.
    Differs,
    /// It has not come.
    Failed,
}

impl Before {
    /// `None`: it cannot be asked for again. That takes a request that changes nothing and costs nothing but an answer, and a body that is not a live
    /// stream; and nobody may have been to see all of it before a byte went out.
    pub(in crate::fetch) fn of<S>(
        service: &CacheService<S>,
        request: &ClientRequest,
        record: &ResponseRecord,
        length: Option<u64>,
    ) -> Option<Self> {
        let reads = match request.asked() {
            Asked::Other | Asked::GraphQl { .. } | Asked::Rpc(_) => request.context.method.reads(),
            // A model is paid for each answer, and gives another one.
            _ => false,
        };
        let is_live = record.head().headers.get(&CONTENT_TYPE).as_ref().is_some_and(is_event_stream);
        let vary = record.variant().map(|variant| variant.spec.clone());
        (reads && !is_live && !service.route.may_refuse_body()).then(|| Self {
            head: Arc::clone(record.head()),
            vary,
            length,
            hasher: Xxh3Default::new(),
            sent: 0,
        })
    }

    /// Adds bytes that are sent.
    pub(in crate::fetch) fn add(&mut self, data: &[u8]) {
        self.hasher.update(data);
        self.sent += data.len() as u64;
    }

    /// Whether another answer with this head, which may be stored, is of the same representation, as far as heads tell.
    fn is_head_of_same(&self, head: &StoredHead, vary: Option<&VarySpec>, length: Option<u64>) -> bool {
        self.head.status == head.status
            && self.vary.as_ref() == vary
            && self.head.origin_etag() == head.origin_etag()
            && OF_THE_BODY.iter().all(|name| self.head.headers.get(name) == head.headers.get(name))
            && self.length.is_none_or(|before| length.is_none_or(|length| length == before))
    }
}

impl<B: UpstreamBody> Again<B> {
    /// Asks the origin again for an answer that was to come from elsewhere but for this `error`.
    pub(in crate::fetch) async fn ask<S: Upstream<Body = B>>(
        service: &CacheService<S>,
        request: &ClientRequest,
        before: Option<&Before>,
        error: RemoteError,
    ) -> Result<Self, BodyError> {
        let before = before.ok_or(BodyError::Stored(error))?;
        let counters = &service.cache.counters.asked_again;
        let (counter, again) = match Self::going_on(service, request, before).await {
            Ok(again) => (&counters.continued, Some(again)),
            Err(Flaw::Differs) => (&counters.differing, None),
            Err(Flaw::Failed) => (&counters.failed, None),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        again.ok_or(BodyError::Stored(error))
    }

    async fn going_on<S: Upstream<Body = B>>(service: &CacheService<S>, request: &ClientRequest, before: &Before) -> Result<Self, Flaw> {
        let context = RequestContext { method: MethodKind::Get, ..request.context.clone() };
        let response = within(STALL, call_timed(&service.inner, &service.cache.clock, || Self::request(service, request, &context)));
        let (response, request_time) = response.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let policy = own_policy(request, &service.route);
        let exchange = Exchange {
            policy: policy.as_deref().unwrap_or(&service.route.policy),
            request: &context,
            method: &Method::GET,
            request_headers: &request.parts.headers,
            request_time,
            response_time: service.cache.clock.now(),
            status: response.status(),
            headers: response.headers(),
        };
        // Others read it too: it has to be for everyone, as the first one was.
        let Disposition::Store { head, vary, .. } = on_response(&exchange, &[]) else { return Err(Flaw::Differs) };
        let guarded = Guarded { parts: &request.parts, key: &request.key, vary: vary.as_ref(), is_trial: false };
        let is_for_everyone = service.route.guarded_head(guarded, exchange.status, exchange.headers).is_none();
        match is_for_everyone && before.is_head_of_same(&head, vary.as_ref(), announced_length(&response)) {
            true => Self::skip(response, before).await,
            false => Err(Flaw::Differs),
        }
    }

    fn request<S: Upstream<Body = B>>(
        service: &CacheService<S>,
        request: &ClientRequest,
        context: &RequestContext,
    ) -> Request<RequestBody> {
        let mut parts = request.parts.clone();
        service.route.reduce_to_key(&mut parts);
        upstream_fields(context, &mut parts.headers, &[]);
        if request.content.is_none() {
            parts.method = Method::GET;
        }
        Request::from_parts(parts, request.body())
    }

    /// Reads what was sent already.
    async fn skip(response: Response<B>, before: &Before) -> Result<Self, Flaw> {
        let mut again = Self { body: Box::pin(response.into_body()), begun: Bytes::new() };
        let (mut hasher, mut left) = (Xxh3Default::new(), before.sent);
        while left > 0 {
            // What is skipped may take long as a whole: each frame of it has the time that one has.
            let frame = within(STALL, again.next()).await.and_then(|frame| frame).map_err(|error| failed(&error))?;
            let data = frame.and_then(|frame| frame.into_data().ok()).ok_or(Flaw::Differs)?;
            let skipped = left.min(data.len() as u64);
            hasher.update(&data[..skipped as usize]);
            left -= skipped;
            again.begun = data.slice(skipped as usize..);
        }
        if hasher.digest128() == before.hasher.digest128() { Ok(again) } else { Err(Flaw::Differs) }
    }

    /// The next frame, perhaps an empty one; `None` at the end.
    pub(in crate::fetch) async fn next(&mut self) -> Result<Option<Frame<Bytes>>, BodyError> {
        if !self.begun.is_empty() {
            return Ok(Some(Frame::data(std::mem::take(&mut self.begun))));
        }
        let next = poll_fn(|cx| self.body.as_mut().poll_frame(cx)).await;
        let frame = next.transpose().map_err(|error| BodyError::Upstream(FetchError::of(error)))?;
        // A copy: a slice would keep the connection's read buffer for as long as the body is stored.
        Ok(frame.map(|frame| frame.map_data(|data| Bytes::copy_from_slice(&data))))
    }
}

fn failed(error: &dyn std::error::Error) -> Flaw {
    debug!("the origin was asked again for an answer that broke off: {error}");
    Flaw::Failed
}
