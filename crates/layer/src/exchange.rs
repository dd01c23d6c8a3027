//! One exchange with the origin, and what becomes of its answer. Runs as a task of its own; clients and followers only read.

mod arriving;
mod failing;
mod freshen;
mod giving_up;
mod part;
mod pump;
mod sharing;
mod steps;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{Request, Response};
use http_body::Body;
use larder_semantics::entity_tag::is_strong;
use larder_semantics::storage::{refuses_the_request, supersedes};
use larder_semantics::validation::upstream_fields;
use larder_semantics::{Disposition, Exchange, Reason, StoredHead, Timestamp, VarySpec, on_response};
use larder_store::{HitForMiss, Lease, Lookup, Position, StoredBody, StoredResponse, Tag, Tags, Variant};
use tokio::sync::oneshot;

use pump::{Begun, Kept, Pump, begin};
pub(crate) use steps::run;

use crate::body::CacheBody;
use crate::body_log::body_log;
use crate::cache::Cache;
use crate::collapse::flight::{Landed, Permit};
use crate::collapse::outcome::{FetchOutcome, Own, Reply};
use crate::error::FetchError;
use crate::fill::Asked;
use crate::live::{Live, LiveBody, LiveReader};
use crate::partial::Going;
use crate::remote::Fetch;
use crate::request_body::RequestBody;
use crate::rules::TagsInBody;
use crate::service::CacheService;
use crate::upstream::{Upstream, UpstreamBody};

/// How long a key is remembered as not worth waiting for (Varnish's default for hit-for-miss).
const HIT_FOR_MISS: Duration = Duration::from_secs(120);

/// What an exchange is for.
#[derive(Debug)]
pub(crate) struct Job {
    asked: Arc<Asked>,
    /// Stored responses that may be confirmed, the selected one first.
    candidates: Vec<Arc<StoredResponse>>,
    /// Whether the first candidate is what the request selects, and not just another variant.
    selected: bool,
    /// May stand in for an answer that does not come (RFC 5861 §4).
    stand_in: Option<Arc<StoredResponse>>,
    going: Going,
    permit: Option<Permit>,
    /// Other replicas wait. Dropped without an answer, it lets the next one try.
    lease: Option<Lease>,
    position: Position,
    fetch: u64,
    tags: Tags,
    naming: Naming,
    /// No client has asked for it: it goes on when nobody waits.
    pub(crate) in_background: bool,
}

/// What is known of tags, and what the origin's answer names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// The answer names none: a response that it confirms keeps those it has.
    Nothing,
    /// The answer names some: they take the place of those before.
    Tags,
    /// More than are kept.
    TooMany,
}

impl Job {
    /// Everything that has to be known from before the fetch.
    pub(crate) fn new<S: Upstream>(
        service: &CacheService<S>,
        asked: Arc<Asked>,
        found: &Lookup,
        going: Going,
        permit: Option<Permit>,
    ) -> Box<Self> {
        let store = &service.cache.store;
        let candidates = match found {
            _ if !matches!(going, Going::Whole) => Vec::new(),
            Lookup::Found(stored) | Lookup::Unvouched(stored) => vec![Arc::clone(stored)],
            Lookup::VaryMiss(index) => store.candidates(index, &asked.parts.headers),
            Lookup::Partial(_) | Lookup::HitForMiss | Lookup::Absent => Vec::new(),
        };
        let position = permit.as_ref().map_or_else(|| store.ledger().position(), Permit::position);
        let selected = found.response().is_some() && !candidates.is_empty();
        let tags = permit.as_ref().map_or_else(|| service.known_tags(&asked), |permit| permit.tags().cloned());
        let naming = if tags.is_some() { Naming::Nothing } else { Naming::TooMany };
        Box::new(Self {
            asked,
            candidates,
            selected,
            stand_in: found.response().cloned(),
            going,
            permit,
            lease: None,
            position,
            fetch: service.cache.next_fetch(),
            tags: tags.unwrap_or_default(),
            naming,
            in_background: false,
        })
    }

    /// For the answer to a write, which is there already.
    pub(crate) fn of_write(asked: Arc<Asked>, position: Position, fetch: u64, tags: Tags) -> Box<Self> {
        let (candidates, going, naming) = (Vec::new(), Going::AsSent, Naming::Nothing);
        let (selected, stand_in, permit, lease, in_background) = (false, None, None, None, false);
        Box::new(Self { asked, candidates, selected, stand_in, going, permit, lease, position, fetch, tags, naming, in_background })
    }
}

/// Calls the inner service once it is ready. The request is made then, so that nothing holds it while it waits for the answer.
pub(crate) async fn call<S: Upstream>(inner: &S, request: impl FnOnce() -> Request<RequestBody>) -> Result<Response<S::Body>, FetchError> {
    let mut inner = inner.clone();
    poll_fn(|cx| inner.poll_ready(cx)).await.map_err(FetchError::new)?;
    let answer = inner.call(request());
    answer.await.map_err(FetchError::new)
}

impl Job {
    /// The fetch begins after other replicas were asked: what was invalidated while they were is none of its concern.
    fn begin_now(&mut self, cache: &Cache, Fetch { candidate, lease }: Fetch) {
        self.lease = lease;
        self.permit.iter().for_each(Permit::begin);
        self.position = cache.store.ledger().position();
        self.fetch = cache.next_fetch();
        let Some(candidate) = candidate else { return };
        self.stand_in = Some(Arc::clone(&candidate));
        if matches!(self.going, Going::Whole) {
            self.candidates = vec![candidate];
            self.selected = true;
        }
    }

    fn request<S: Upstream>(&self, service: &CacheService<S>) -> Request<RequestBody> {
        let mut parts = self.asked.parts.clone();
        parts.uri = service.upstream_uri(&parts.uri);
        let headers = &mut parts.headers;
        match &self.going {
            Going::AsSent => {}
            Going::Whole => {
                upstream_fields(&self.asked.context, headers, &self.heads());
                if !self.selected && !self.candidates.is_empty() {
                    // A date tells nothing about other variants.
                    headers.remove(IF_MODIFIED_SINCE);
                }
            }
            Going::Missing { part, missing, .. } => part.meta.fetch_fields(headers, *missing),
            Going::IfChanged(part) => {
                headers.remove(IF_MODIFIED_SINCE);
                headers.extend(part.meta.head.etag().map(|tag| (IF_NONE_MATCH, tag)));
            }
        }
        Request::from_parts(parts, RequestBody::empty())
    }

    fn heads(&self) -> Vec<&StoredHead> {
        self.candidates.iter().map(|stored| &stored.head).collect()
    }

    fn exchange<'a, S: Upstream>(
        &'a self,
        service: &'a CacheService<S>,
        response: &'a Response<S::Body>,
        request_time: Timestamp,
    ) -> Exchange<'a> {
        Exchange {
            policy: &service.route.policy,
            request: &self.asked.context,
            method: &self.asked.parts.method,
            request_headers: &self.asked.parts.headers,
            request_time,
            response_time: service.cache.clock.now(),
            status: response.status(),
            headers: response.headers(),
        }
    }

    fn judge<S: Upstream>(&self, service: &CacheService<S>, exchange: &Exchange<'_>, announced: Option<u64>) -> Disposition {
        let disposition = on_response(exchange, &self.heads());
        match disposition {
            Disposition::Store { .. } if announced.is_some_and(|length| length > service.route.max_object) => {
                Disposition::Pass { reason: Reason::TooLarge, remember: true }
            }
            // Another variant stands in for nothing.
            Disposition::ServeStale { .. } if !self.selected => Disposition::Pass { reason: Reason::UpstreamError, remember: false },
            // Without a strong entity tag there is no telling which variant was meant.
            Disposition::Freshen { .. } if !self.selected && !exchange.headers.get(ETAG).is_some_and(is_strong) => {
                Disposition::Refetch { reason: Reason::ValidatorMismatch }
            }
            Disposition::Pass { reason: Reason::Head, .. } if self.selected => {
                self.update_by_head(service, exchange);
                disposition
            }
            _ => disposition,
        }
    }

    /// For this client only. Everyone who waits is released at once; where this request was refused, one of them asks anew.
    fn pass<B>(mut self, cache: &Cache, response: Response<B>, reason: Reason, remember: bool, reply: oneshot::Sender<Reply<B>>) {
        if remember {
            self.remember(cache, reason);
        }
        // A full answer means that what is stored no longer holds (RFC 9111 §4.3.3).
        if supersedes(&self.asked.context, reason, response.status()) {
            self.forget(cache);
        }
        let is_refused = refuses_the_request(response.status());
        let another_may_try = is_refused || response.status().is_server_error();
        self.lease.take().into_iter().for_each(if another_may_try { Lease::failed } else { Lease::not_shared });
        let outcome = if is_refused { FetchOutcome::Refused } else { FetchOutcome::NotShared };
        self.deliver(outcome, Own::Response { response: response.map(CacheBody::upstream), reason }, reply);
    }

    /// Tells the followers and the client what the fetch came to. Requests join until the flight that comes back is dropped.
    fn deliver<B>(&mut self, outcome: FetchOutcome, own: Own<B>, reply: oneshot::Sender<Reply<B>>) -> Option<Landed> {
        let landed = self.permit.take().and_then(|permit| permit.land(outcome.clone()));
        // A client that left does not want it.
        let _ = reply.send(Reply { outcome, own });
        landed
    }

    /// Drops what the origin was asked about, unless the answer is about somebody's credentials.
    fn forget(&self, cache: &Cache) {
        if self.asked.context.authorization {
            return;
        }
        if self.selected {
            self.candidates.iter().take(1).for_each(|stored| cache.remove(stored));
        }
        self.forget_part(cache);
    }

    fn remember(&self, cache: &Cache, reason: Reason) {
        let until = cache.clock.now().as_millis().saturating_add(HIT_FOR_MISS.as_millis() as u64);
        let (key, until, too_large) = (self.asked.key.clone(), Timestamp::from_millis(until), reason == Reason::TooLarge);
        let mark = HitForMiss { key, until, too_large, of_credentials: self.asked.context.authorization, fetch: self.fetch };
        cache.store.mark_hit_for_miss(mark, cache.clock.now());
    }

    /// Takes what the origin named into the tags; `None`: it was too much.
    fn tag(&mut self, named: Option<&[String]>) {
        if self.naming == Naming::TooMany || named.is_some_and(<[_]>::is_empty) {
            return;
        }
        let named = named.and_then(|named| Tag::surrogates(named.iter().map(String::as_str)));
        match named.and_then(|named| Tag::joined(&self.tags, &named)) {
            Some(tags) => (self.tags, self.naming) = (tags, Naming::Tags),
            None => self.naming = Naming::TooMany,
        }
    }

    /// Streams the body to whoever reads, and into the store once it is proven complete. All that needs no waiting is done at once, since an
    /// `async fn` has room for its arguments and what they are taken apart into.
    pub(crate) fn store<S: Upstream, B: UpstreamBody>(
        mut self: Box<Self>,
        service: CacheService<S>,
        response: Response<B>,
        head: Arc<StoredHead>,
        vary: Option<VarySpec>,
        reply: oneshot::Sender<Reply<S::Body>>,
    ) -> impl Future<Output = ()> + Send {
        let length = announced_length(&response);
        let variant = vary.map(|spec| Variant::of(spec, &self.asked.parts.headers));
        let more_tags = service.route.tags_in(response.headers()) != TagsInBody::None;
        let (tags, position) = (self.tags.clone(), self.position);
        let live = move |body| Arc::new(Live { head, variant, body, length, tags, more_tags, position });
        let (parts, body) = response.into_parts();
        async move {
            let mut body = pin!(body);
            let begun = match more_tags {
                false => poll_fn(|cx| Poll::Ready(begin(body.as_mut(), length, service.route.max_object, cx))).await,
                true => Begun::Unfinished(Poll::Pending),
            };
            let begun = match begun {
                Begun::Whole(body) => {
                    let live = live(LiveBody::Whole(body.clone()));
                    // Before anybody has the answer, so that a client that asks again at once finds it.
                    let (stored, lease) = (self.stored(&live, body.clone()), self.lease.take());
                    service.cache.commit(stored, lease).await;
                    self.deliver(FetchOutcome::Fetched(live), Own::Head { head: parts, reader: LiveReader::Whole(body) }, reply);
                    return;
                }
                Begun::Unfinished(begun) => begun,
            };
            self.head_is_there(&service.cache, length);
            let (writer, handle) = body_log(Arc::clone(&service.cache.in_flight));
            let live = live(LiveBody::Arriving(handle));
            let Some(reader) = live.body.reader() else { return };
            // The client's reader is there before any follower's, so that the first frame finds it.
            let landed = self.deliver(FetchOutcome::Fetched(Arc::clone(&live)), Own::Head { head: parts, reader }, reply);
            let pump = Pump { job: self, service, kept: Kept::Whole(live), writer, landed, length, given_up: None };
            Box::pin(pump.run(body, begun)).await;
        }
    }

    /// A response whose body is proven complete.
    fn stored(&self, live: &Live, body: StoredBody) -> Arc<StoredResponse> {
        Arc::new(StoredResponse::new(&self.asked.key, live.variant.clone(), &live.head, body, &self.tags, self.position, self.fetch))
    }
}

/// `Content-Length`, where the response has one.
pub(crate) fn announced_length<B: Body>(response: &Response<B>) -> Option<u64> {
    let field = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    field.or_else(|| response.body().size_hint().exact())
}
