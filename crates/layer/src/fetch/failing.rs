//! An origin that fails: the requests that waited share the failure, or get a stored response (RFC 5861 §4). None of them asks again, since an origin in
//! trouble is the last one to be asked by all at once.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::header::RETRY_AFTER;
use http::{HeaderMap, Response, StatusCode};
use larder_semantics::storage::{never_stored, refuses_the_request};
use larder_semantics::{Reason, VarySpec, Withheld, may_steer};
use larder_store::{FetchFailure, Remembered, StoredResponse, Variant};
use tokio::sync::oneshot;

use super::pump::{Kept, Pump};
use super::state::Fetch;
use crate::body::CacheBody;
use crate::body::log::body_log;
use crate::body::pending::PendingReader;
use crate::cache::Cache;
use crate::collapse::flight::Permit;
use crate::collapse::outcome::{FetchOutcome, Own, Reply};
use crate::collapse::server_error::{Content, ServerError};
use crate::error::{FetchError, FetchErrorKind};
use crate::service::CacheService;
use crate::steps::Stopwatch;
use crate::upstream::{Upstream, announced_length};

/// Whether an answer with this status is not stored only because it has no lifetime: then its content is for all requests that waited. A status that is
/// never stored comes before all else that its answer may say against that.
fn is_for_all(reason: Reason, status: StatusCode) -> bool {
    matches!(reason, Reason::Status | Reason::NoLifetime | Reason::LifetimeZero) && !never_stored(status)
}

impl Fetch {
    /// Whether others wait for the answer.
    pub(super) fn is_followed(&self) -> bool {
        self.permit.as_ref().is_some_and(Permit::is_followed)
    }

    /// Other replicas do with an answer that is not stored what followers here do with it.
    pub(super) fn end_lease_unstored(&mut self, status: StatusCode, headers: &HeaderMap, remembered: Remembered) {
        let Some(lease) = self.lease.take() else { return };
        match status {
            // It says nothing about what others get.
            _ if may_steer(&self.request.parts.headers) => lease.failed(Some(FetchFailure::Refused)),
            _ if status.is_server_error() => {
                let retry_after = headers.get(RETRY_AFTER).cloned();
                lease.failed(Some(FetchFailure::ServerError { status, retry_after }));
            }
            _ if refuses_the_request(status) => lease.failed(Some(FetchFailure::Refused)),
            _ => lease.not_shared_for_long(remembered),
        }
    }

    /// The origin gives no answer, or its body breaks off.
    pub(super) fn end_lease_failed(&mut self, cache: &Cache, error: &FetchError) {
        if let Some(lease) = self.lease.take() {
            lease.failed((cache.failure_word)(error).map(|word| FetchFailure::NoAnswer(word.into())));
        }
    }

    /// There is no answer.
    pub(super) fn fail<B>(mut self, cache: &Cache, error: FetchError, reply: oneshot::Sender<Reply<B>>) {
        if matches!(error.kind(), FetchErrorKind::Limited { .. }) {
            return self.fail_for_its_client(error, reply);
        }
        self.end_lease_failed(cache, &error);
        let stored = self.stand_in.take();
        self.deliver(FetchOutcome::Failed { error, stored }, Own::Nothing, reply);
    }

    /// The origin was not asked, for the sake of this request's client: one of those that wait, here or elsewhere, asks in its place.
    fn fail_for_its_client<B>(mut self, error: FetchError, reply: oneshot::Sender<Reply<B>>) {
        if let Some(lease) = self.lease.take() {
            lease.failed(Some(FetchFailure::Refused));
        }
        let stored = self.stand_in.take();
        self.deliver(FetchOutcome::Refused, Own::Limited { error, stored }, reply);
    }

    /// Another replica has asked the origin, and what came of it concerns those that have waited for it here.
    pub(super) fn fail_elsewhere<B>(
        mut self,
        failure: FetchFailure,
        candidate: Option<Arc<StoredResponse>>,
        reply: oneshot::Sender<Reply<B>>,
    ) {
        let stored = candidate.or(self.stand_in.take());
        let outcome = match failure {
            FetchFailure::NoAnswer(word) => FetchOutcome::Failed { error: FetchError::elsewhere(word), stored },
            FetchFailure::ServerError { status, retry_after } => {
                let headers = retry_after.into_iter().map(|retry| (RETRY_AFTER, retry)).collect();
                FetchOutcome::ServerError(Arc::new(ServerError::bare(status, &headers, stored)))
            }
            FetchFailure::Refused => FetchOutcome::Refused,
            FetchFailure::NotShared(_) => FetchOutcome::NotShared,
        };
        self.deliver(outcome, Own::Elsewhere, reply);
    }

    /// A server error that the stored response may stand in for.
    pub(super) fn serve_stale<B>(mut self, cache: &Cache, response: Response<B>, reply: oneshot::Sender<Reply<B>>) {
        if self.candidates.is_empty() {
            return self.pass(cache, response, Reason::UpstreamError, false, reply);
        }
        self.end_lease_unstored(response.status(), response.headers(), Remembered::No);
        let error = ServerError::bare(response.status(), response.headers(), Some(self.candidates.swap_remove(0)));
        self.deliver(FetchOutcome::ServerError(Arc::new(error)), Own::ServerError(CacheBody::upstream(response)), reply);
    }

    /// A server error that is not stored, and that others wait for. They share it, as far as it is for all of them.
    pub(super) async fn refuse<S: Upstream>(
        mut self: Box<Self>,
        service: CacheService<S>,
        response: Response<S::Body>,
        reason: Reason,
        reply: oneshot::Sender<Reply<S::Body>>,
    ) {
        self.end_lease_unstored(response.status(), response.headers(), Remembered::No);
        let (status, stored) = (response.status(), self.stand_in.clone());
        // A guard that refuses has not looked at what is not stored, so others get none of it.
        let is_for_all = is_for_all(reason, status) && !service.route.may_refuse_body();
        let vary = VarySpec::on_route(&service.route.policy, response.headers()).filter(|_| is_for_all);
        let Some(vary) = vary else {
            let error = ServerError::bare(status, response.headers(), stored);
            let own = Own::Response { response: CacheBody::upstream(response), reason };
            self.deliver(FetchOutcome::ServerError(Arc::new(error)), own, reply);
            return;
        };
        let variant = (!vary.names().is_empty()).then(|| Variant::of(vary, &self.request.parts.headers));
        let length = announced_length(&response);
        let (writer, log) = body_log(Arc::clone(&service.cache.in_flight));
        let Some(reader) = log.reader() else { return };
        let (head, body) = response.into_parts();
        let mut headers = head.headers.clone();
        let withheld = Withheld::of(&service.route.policy, &self.request.context, status, &headers);
        withheld.remove_from(&service.route.policy, &mut headers);
        let response = Response::from_parts(head, CacheBody::pending(PendingReader::Arriving(reader), length));
        let error = ServerError { status, stored, headers, content: Some(Content { variant, log, length }) };
        self.deliver(FetchOutcome::ServerError(Arc::new(error)), Own::Response { response, reason }, reply);
        let pump = Pump {
            fetch: self,
            service,
            kept: Kept::Error(status),
            withheld,
            writer,
            landed: None,
            length,
            given_up: None,
            stopwatch: Stopwatch::idle(),
        };
        pump.run(pin!(body), Poll::Pending).await;
    }
}
