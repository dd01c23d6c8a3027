//! An origin that fails: who waited shares the failure, or gets what is stored (RFC 5861 §4). None of them asks again, since an origin in
//! trouble is the last one to be asked by all at once.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::header::RETRY_AFTER;
use http::{HeaderMap, Response, StatusCode};
use larder_semantics::fields::retain_storable;
use larder_semantics::{CacheStatus, Reason, VarySpec};
use larder_store::{Lease, StoredResponse, Variant};
use tokio::sync::oneshot;

use super::pump::{Kept, Pump};
use super::{Job, Reply, announced_length};
use crate::body::CacheBody;
use crate::body_log::{LogHandle, body_log};
use crate::cache::Cache;
use crate::error::FetchError;
use crate::fill::Asked;
use crate::flight::{Landing, Permit};
use crate::live::LiveReader;
use crate::outcome::{CacheResult, Outcome, Served};
use crate::respond;
use crate::service::CacheService;
use crate::upstream::Upstream;

/// A server error, as those get it who waited for the answer.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// May stand in for it.
    pub(crate) stored: Option<Arc<StoredResponse>>,
    /// The fields that are anybody's.
    headers: HeaderMap,
    /// The content, where that is anybody's too.
    content: Option<Content>,
}

#[derive(Debug)]
struct Content {
    /// Which requests it is for; `None` without `Vary`.
    variant: Option<Variant>,
    log: LogHandle,
    length: Option<u64>,
}

impl Refusal {
    /// A status, and when to ask again: no more of an answer that was made for one client.
    fn bare(status: StatusCode, headers: &HeaderMap, stored: Option<Arc<StoredResponse>>) -> Self {
        let retry = headers.get(RETRY_AFTER).cloned();
        Self { status, stored, headers: retry.into_iter().map(|retry| (RETRY_AFTER, retry)).collect(), content: None }
    }

    /// The answer to a request that waited.
    pub(crate) fn answer<B>(&self, asked: &Asked, status: CacheStatus) -> Served<B> {
        let status = CacheStatus { fwd_status: Some(self.status.as_u16()), ..status };
        let content = self.content.as_ref().filter(|content| {
            let suits = |variant: &Variant| variant.suits(&asked.parts.headers);
            content.variant.as_ref().is_none_or(suits)
        });
        let read = content.and_then(|content| Some((content.log.reader()?, content.length)));
        let (mut headers, body) = match read {
            Some((reader, length)) => (self.headers.clone(), CacheBody::arriving(reader, length)),
            // Its fields tell of a content that this request does not get.
            None => (Self::bare(self.status, &self.headers, None).headers, CacheBody::empty()),
        };
        respond::annotate(&mut headers, CacheResult::Miss, &status);
        let response = respond::respond(self.status, headers, body);
        Served { response, outcome: Outcome::new(CacheResult::Miss, Reason::Collapsed, Some(asked.key.clone())) }
    }
}

/// Whether an answer is kept from the store by nothing but its having no lifetime: then its content is for all who asked the same.
fn is_for_all(reason: Reason) -> bool {
    matches!(reason, Reason::Status | Reason::NoLifetime)
}

impl Job {
    /// Whether others wait for the answer.
    pub(super) fn is_followed(&self) -> bool {
        self.permit.as_ref().is_some_and(Permit::is_followed)
    }

    /// There is no answer.
    pub(super) fn fail<B>(mut self, error: FetchError, reply: oneshot::Sender<Reply<B>>) {
        self.lease.take().into_iter().for_each(Lease::failed);
        let stored = self.stand_in;
        if let Some(permit) = self.permit {
            permit.land_last(Landing::Failed { error: error.clone(), stored: stored.clone() });
        }
        // A client that left does not want it.
        let _ = reply.send(Reply::Failed { error, stored });
    }

    /// A server error that the stored response may stand in for.
    pub(super) fn serve_stale<B>(mut self, cache: &Cache, response: Response<B>, reply: oneshot::Sender<Reply<B>>) {
        if self.candidates.is_empty() {
            return self.pass(cache, response, Reason::UpstreamError, false, reply);
        }
        self.lease.take().into_iter().for_each(Lease::failed);
        let stored = self.candidates.swap_remove(0);
        if let Some(permit) = self.permit {
            let refusal = Refusal::bare(response.status(), response.headers(), Some(Arc::clone(&stored)));
            permit.land_last(Landing::Refused(Arc::new(refusal)));
        }
        let _ = reply.send(Reply::Unavailable { response, stored });
    }

    /// A server error that is not stored, and that others wait for. They share it, as far as it is for all of them.
    pub(super) async fn refuse<S: Upstream>(
        mut self: Box<Self>,
        service: CacheService<S>,
        response: Response<S::Body>,
        reason: Reason,
        reply: oneshot::Sender<Reply<S::Body>>,
    ) {
        self.lease.take().into_iter().for_each(Lease::failed);
        let Some(permit) = self.permit.take() else { return };
        let (status, stored) = (response.status(), self.stand_in.clone());
        let vary = VarySpec::of_response(response.headers()).filter(|_| is_for_all(reason));
        let Some(vary) = vary else {
            permit.land_last(Landing::Refused(Arc::new(Refusal::bare(status, response.headers(), stored))));
            let _ = reply.send(Reply::Passed { response: response.map(CacheBody::upstream), reason });
            return;
        };
        let variant = (!vary.names().is_empty()).then(|| Variant::of(vary, &self.asked.parts.headers));
        let length = announced_length(&response);
        let (writer, log) = body_log(Arc::clone(&service.cache.in_flight));
        let Some(reader) = log.reader() else { return };
        let (head, body) = response.into_parts();
        let mut headers = head.headers.clone();
        retain_storable(&mut headers);
        let own = Response::from_parts(head, CacheBody::live(LiveReader::Arriving(reader), length));
        let _ = reply.send(Reply::Passed { response: own, reason });
        let content = Some(Content { variant, log, length });
        permit.land_last(Landing::Refused(Arc::new(Refusal { status, stored, headers, content })));
        let pump = Pump { job: self, service, kept: Kept::Nothing, writer, landed: None, length, given_up: None };
        pump.run(pin!(body), Poll::Pending).await;
    }
}
