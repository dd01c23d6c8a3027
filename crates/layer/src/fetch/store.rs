//! A response on its way into the store, or past it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::Response;
use http::header::CONTENT_TYPE;
use larder_semantics::content::Fitness;
use larder_semantics::storage::{is_event_stream, refuses_the_request, supersedes};
use larder_semantics::{Disposition, Reason, StoredHead, Timestamp, VarySpec, Withheld};
use larder_store::{Lease, Position, Remembered, StoredBody, StoredResponse, Variant};
use tokio::sync::oneshot;

use super::pump::{Begun, Kept, Pump, begin};
use super::state::{Fetch, Naming};
use crate::body::CacheBody;
use crate::body::log::body_log;
use crate::body::pending::{PendingBody, PendingReader, PendingResponse};
use crate::cache::Cache;
use crate::collapse::outcome::{FetchOutcome, Own, Reply};
use crate::lookup::plan::UpstreamMode;
use crate::lookup::request::ClientRequest;
use crate::rules::{RouteRules, TagsInBody};
use crate::service::CacheService;
use crate::steps::{Step, Stopwatch};
use crate::upstream::{Upstream, UpstreamBody, WholeBody, announced_length};

/// What has to be known from before a fetch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began {
    position: Position,
    number: u64,
    time: Timestamp,
}

impl Cache {
    /// A fetch begins.
    pub(crate) fn begin(&self) -> Began {
        Began { position: self.store.ledger().position(), number: self.next_fetch(), time: self.clock.now() }
    }
}

impl Fetch {
    /// For this client only. The requests that wait are released at once; where this request was refused, one of them asks again.
    pub(super) fn pass<B>(
        mut self,
        cache: &Cache,
        response: Response<B>,
        reason: Reason,
        remember: bool,
        reply: oneshot::Sender<Reply<B>>,
    ) {
        self.store_nothing(cache, &response, reason, remember);
        let is_refused = refuses_the_request(response.status());
        let outcome = if is_refused { FetchOutcome::Refused } else { FetchOutcome::NotShared };
        self.deliver(outcome, Own::Response { response: CacheBody::upstream(response), reason }, reply);
    }

    /// The answer is not stored, and other replicas learn it.
    fn store_nothing<B>(&mut self, cache: &Cache, response: &Response<B>, reason: Reason, remember: bool) {
        if remember {
            self.remember(cache, reason);
        }
        // A full answer means that what is stored no longer holds (RFC 9111 §4.3.3).
        if supersedes(&self.request.context, reason, response.status()) {
            self.forget(cache);
        }
        let remembered = if remember { self.remembered(reason) } else { Remembered::No };
        self.end_lease_unstored(response.status(), response.headers(), remembered);
    }

    /// Streams the body to its readers, and into the store once it is proven complete. Work without waiting is done before the `async` block,
    /// since an `async fn` keeps its arguments beside the values they are taken apart into.
    pub(crate) fn store<S: Upstream, B: UpstreamBody>(
        mut self: Box<Self>,
        service: CacheService<S>,
        response: Response<B>,
        head: Arc<StoredHead>,
        vary: Option<VarySpec>,
        reply: oneshot::Sender<Reply<S::Body>>,
    ) -> impl Future<Output = ()> + Send {
        let kept = self.keeps;
        if !kept {
            self.store_nothing(&service.cache, &response, Reason::LifetimeZero, false);
        }
        let length = announced_length(&response);
        let variant = vary.map(|spec| Variant::of(spec, &self.request.parts.headers));
        let guarded_vary = variant.as_ref().filter(|_| service.route.is_guarded()).map(|variant| variant.spec.clone());
        let more_tags = service.route.tags_in(response.headers()) != TagsInBody::None;
        let (tags, position) = (self.tags.clone(), self.position);
        let pending =
            move |head, body| Arc::new(PendingResponse { head, variant, body, length, recording: None, tags, more_tags, kept, position });
        let (mut parts, body) = response.into_parts();
        let at_hand = parts.extensions.remove::<WholeBody>();
        let stopwatch = Stopwatch::start(&self.request.parts.extensions);
        async move {
            let mut body = pin!(body);
            // A longer one may be for a tier alone.
            let max = service.route.max_object.min(service.cache.max_in_memory);
            let begun = match (at_hand, more_tags) {
                (Some(WholeBody(body)), _) => Begun::Whole(body),
                (None, false) => poll_fn(|cx| Poll::Ready(begin(body.as_mut(), length, max, cx))).await,
                (None, true) => Begun::Unfinished(Poll::Pending),
            };
            let begun = match begun {
                Begun::Whole(body) => {
                    if let Some(reason) = self.guarded_body(&service, guarded_vary.as_ref(), &head, body.segments().iter(), None) {
                        self.lease.take().into_iter().for_each(Lease::not_shared);
                        stopwatch.stop(|| Step::Store { bytes: body.len(), stored: false });
                        let response = Response::from_parts(parts, CacheBody::pending(PendingReader::Whole(body), None));
                        // One of those who wait asks anew: the fault may be this request's alone.
                        self.deliver(FetchOutcome::Refused, Own::Response { response, reason }, reply);
                        return;
                    }
                    let fitness = self.judge_body(&service.route, &head, body.segments().iter());
                    if !self.is_for_followers(&service.route, &fitness) {
                        // Each of those who wait asks for itself.
                        self.permit = None;
                    }
                    let head = service.route.completed(&head, &body, &fitness).map_or(head, Arc::new);
                    let pending = pending(head, PendingBody::Whole(body.clone()));
                    let mut is_stored = false;
                    let bytes = body.len();
                    if fitness == Fitness::Unfit || !kept {
                        self.lease.take().into_iter().for_each(Lease::not_shared);
                    } else {
                        // Before a client has the answer, so that one that asks again at once finds it.
                        let stored = self.stored(&service.route, &pending, body.clone(), &Fitness::Fit(None));
                        is_stored = service.cache.commit(stored, self.lease.take(), &service.route.tiers).await;
                    }
                    stopwatch.stop(|| Step::Store { bytes, stored: is_stored });
                    self.deliver(FetchOutcome::Fetched(pending), Own::Head { head: parts, reader: PendingReader::Whole(body) }, reply);
                    return;
                }
                Begun::Unfinished(begun) => begun,
            };
            let (writer, handle) = body_log(Arc::clone(&service.cache.in_flight));
            let pending = pending(head, PendingBody::Arriving(handle));
            let is_judged_at_its_end = self.is_judged_at_its_end(&service.route, &parts.headers);
            self.body_is_arriving(&service, &pending, is_judged_at_its_end);
            let Some(reader) = pending.body.reader() else { return };
            let withheld = Withheld::of(&service.route.policy, &self.request.context, parts.status, &parts.headers);
            let for_followers = if is_judged_at_its_end { self.permit.take() } else { None };
            // The client's reader is there before any follower's, so that the first frame finds it.
            let landed = self.deliver(FetchOutcome::Fetched(Arc::clone(&pending)), Own::Head { head: parts, reader }, reply);
            // Followers wait for the end, where it is not far: they ask for themselves otherwise.
            let is_soon =
                length.is_none_or(|length| length <= max) && !pending.head.headers.get(&CONTENT_TYPE).as_ref().is_some_and(is_event_stream);
            self.permit = for_followers.filter(|_| is_soon);
            // Those who come from now on find it stale: they wait for the next one.
            let landed = landed.filter(|_| !pending.head.is_over_on_arrival());
            let pump =
                Pump { fetch: self, service, kept: Kept::Whole(pending), withheld, writer, landed, length, given_up: None, stopwatch };
            Box::pin(pump.run(body, begun)).await;
        }
    }

    /// Stores an answer that came within another one, which `named` these tags and whose fetch began as `began` says: as if it had been asked for alone.
    pub(crate) async fn store_given<S: Upstream, B: UpstreamBody>(
        service: CacheService<S>,
        request: Arc<ClientRequest>,
        response: Response<B>,
        named: &[String],
        began: Began,
    ) {
        service.count(&request);
        let mut fetch = Self::new(&service, Arc::clone(&request), &service.stored_for(&request), UpstreamMode::Whole, None);
        (fetch.position, fetch.number) = (began.position, began.number);
        fetch.tag(Some(named));
        let disposition = fetch.judge(&service, &fetch.exchange(&service, &response, began.time), announced_length(&response));
        let (reply, _client) = oneshot::channel();
        if let Disposition::Store { head, .. } = &disposition {
            fetch.tag_by_groups(head);
        }
        match disposition {
            Disposition::Store { .. } if fetch.naming == Naming::TooMany => {}
            Disposition::Store { .. } if service.route.tags_in(response.headers()) == TagsInBody::Unreadable => {}
            Disposition::Store { kept: false, .. } if supersedes(&request.context, Reason::LifetimeZero, response.status()) => {
                fetch.forget(&service.cache);
            }
            Disposition::Store { head, vary, kept: true } => fetch.store(service, response, head, vary, reply).await,
            Disposition::Pass { reason, .. } if supersedes(&request.context, reason, response.status()) => fetch.forget(&service.cache),
            _ => {}
        }
    }

    /// A response whose body is proven complete.
    pub(super) fn stored(&self, rules: &RouteRules, pending: &PendingResponse, body: StoredBody, fitness: &Fitness) -> Arc<StoredResponse> {
        let completed = rules.completed(&pending.head, &body, fitness);
        Arc::new(StoredResponse::new(
            &self.request.key,
            pending.variant.clone(),
            completed.as_ref().unwrap_or(&pending.head),
            body,
            &self.tags,
            self.position,
            self.number,
        ))
    }
}
