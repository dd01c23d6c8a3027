//! The walk of a request between the listener and the cache layer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Limited;
use hyper::body::{Body, Incoming};
use larder_semantics::Reason;
use larder_tower::clock::{Clock, monotonic};
use larder_tower::{Cache, CacheBody, CacheService, FailedElsewhere, FetchError, Outcome, Plain, Pooled, ServeFuture, Served};

use super::handling::Handling;
use super::paths::judge_path;
use super::request_id::{RequestIds, X_REQUEST_ID};
use super::request_limit::{is_too_large, limited};
use super::way::{NO_ROUTE, Step, for_the_cache, way};
use crate::active::ActiveConfig;
use crate::client::{ClientConnection, effective_target};
use crate::http1;
use crate::listeners::Certificates;
use crate::problem::Problem;
use crate::purge::{ChannelCounts, USUAL_WAIT, public, purge};
use crate::redis::Redis;
use crate::routing::{Negotiated, RouteUpstream, Verdict, WayBody};
use crate::server::{Handler, Handshakes, Lingering, LocalReply, OpenConnections, Peer, PlainAnswer, lingering};
use crate::stats::History;
use crate::telemetry::access_log::{AccessLog, Entry, LoggedBody, ResponseRecord, Uncounted};
use crate::telemetry::metrics::RequestRecord;
use crate::telemetry::observe::{Happening, Observers};
use crate::upstream::{ClientContext, TunnelClient, UpstreamError};

const NOT_STORED: Problem =
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "http_request_denied", "Only a stored response was asked for, and there is none.");
const FAILED: Problem = Problem::new(StatusCode::BAD_GATEWAY, "proxy_internal_error", "The request could not be completed.");

/// The handler of all requests on the public listeners.
pub(crate) struct Gateway {
    pub(crate) active: ArcSwap<ActiveConfig>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) redis: Option<Redis>,
    pub(crate) clock: Clock,
    pub(crate) access_log: AccessLog,
    pub(crate) observers: Arc<Observers>,
    pub(crate) request_ids: RequestIds,
    pub(crate) history: History,
    pub(crate) connections: OpenConnections,
    pub(crate) certificates: Certificates,
    pub(crate) handshakes: Handshakes,
    pub(crate) channel_counts: ChannelCounts,
}

pub(super) type Answered = Response<LoggedBody<GatewayBody>>;

type GatewayBody = CacheBody<WayBody>;
/// The service of one route.
pub(crate) type Service = CacheService<RouteUpstream>;

/// Facts about a request that are needed once its answer is there.
struct PendingAnswer {
    method: Method,
    started: Instant,
    entry: Entry,
    route: Option<usize>,
    /// Of a response that carries one.
    request_id: Option<HeaderValue>,
    /// Where somebody is to see it.
    happening: Option<Box<Happening>>,
}

impl Gateway {
    /// Answers a request without content that was read before hyper: the same walk as [`Self::handle`] takes, where nothing lies beside it.
    fn answer_plain(
        &self,
        request: &mut Request<()>,
        peer: &Peer,
        head: &mut Vec<u8>,
    ) -> Option<PlainAnswer<LoggedBody<GatewayBody>, Pooled<Answered>>> {
        let started = monotonic();
        let active = self.active.load();
        let connection = peer.client_connection(request.version());
        let request_id = self.request_id(&active, request.headers_mut(), &connection);
        let target = effective_target(request.uri(), request.headers(), &connection, &active.trusted);
        let path = request.uri().path();
        let service = active.route(request, &target.authority)?;
        if !matches!(judge_path(&active, service, request.method(), &target.authority, path), Ok(None)) {
            return None;
        }
        let (client, scheme) = (target.client, target.scheme);
        let (effective, mut response_edits, mut as_sent) = (for_the_cache(target), None, None);
        if let Some(edits) = active.edits_of(service.route().index()) {
            // The log has the fields that the client sent.
            as_sent = Some(request.clone());
            response_edits = edits.apply(request.headers_mut(), client);
        }
        let negotiated = active.codings_of(service.route().index()).and_then(|codings| codings.negotiate(request));
        let plain = service.look_up_plain(request, &effective)?;
        if matches!(&plain, Plain::Stored(answer) if answer.body.size_hint().exact().is_none()) {
            return None;
        }
        if negotiated.is_some_and(|negotiated| !negotiated.takes_plainly(&plain)) {
            return None;
        }
        let seen = as_sent.as_ref().unwrap_or(request);
        let entry = self.access_log.begin(seen, Some(client), || self.clock.now());
        let happening = self.observers.begin(seen, scheme, client, || self.clock.now());
        let (method, route) = (request.method().clone(), Some(service.route().index()));
        let pending = PendingAnswer { method, started, entry, route, request_id, happening };
        match plain {
            Plain::Stored(answer) => {
                let status = answer.status();
                let length = answer.body.size_hint().lower();
                http1::put_answer_head(head, request.method(), status, length, |put| match &pending.request_id {
                    None => answer.for_each_line(put),
                    Some(id) => {
                        answer.for_each_line(|name, value| {
                            if *name != X_REQUEST_ID {
                                put(name, value)
                            }
                        });
                        put(&X_REQUEST_ID, id.as_bytes());
                    }
                });
                let is_bodiless = *request.method() == Method::HEAD || http1::is_bodiless(status);
                let mut response = Response::new(if is_bodiless { CacheBody::empty() } else { answer.body });
                *response.status_mut() = status;
                Some(PlainAnswer::Written(pending.answered(&active, response, Some(&answer.outcome)).into_body()))
            }
            Plain::Fetch(planned) => {
                let waiting = service.fetch(std::mem::take(request), planned, |extensions| {
                    extensions.insert(ClientContext { connection, interim: peer.interim_responses(connection.version) });
                    response_edits.and_then(|edits| extensions.insert(edits));
                });
                Some(PlainAnswer::Waiting(Pooled::new(pending.waits(Guard::into_inner(active), waiting))))
            }
        }
    }

    /// Answers one request. A hit is answered before this returns.
    pub(crate) fn handle(&self, request: Request<Incoming>, peer: Peer) -> Handling {
        let started = monotonic();
        let mut request = lingering(request);
        let active = self.active.load();
        let connection = peer.client_connection(request.version());
        let request_id = self.request_id(&active, request.headers_mut(), &connection);
        let target = effective_target(request.uri(), request.headers(), &connection, &active.trusted);
        let entry = self.access_log.begin(&request, Some(target.client), || self.clock.now());
        let happening = self.observers.begin(&request, target.scheme, target.client, || self.clock.now());
        let way = way(&active, &request, &target, |max| is_too_large(&request, max));
        let (method, route) = (request.method().clone(), way.service.map(|service| service.route().index()));
        let pending = PendingAnswer { method, started, entry, route, request_id, happening };
        let (service, past_cache) = match (way.step, way.service) {
            (Step::Purge, _) => {
                let invalidation = match public::invalidation(&active, target.of(request.uri()), request.headers()) {
                    Ok(invalidation) => invalidation,
                    Err(problem) => return Handling::ready(pending.refused(&active, problem)),
                };
                let (active, cache) = (Guard::into_inner(active), Arc::clone(&self.cache));
                return Handling::waiting(async move {
                    let purged = purge(&cache, &invalidation, USUAL_WAIT).await;
                    pending.answered(&active, purged.response(&[]).map(CacheBody::from_bytes), None)
                });
            }
            (Step::Refuse(problem), _) => return Handling::ready(pending.refused(&active, problem)),
            (_, None) => return Handling::ready(pending.refused(&active, NO_ROUTE)),
            (Step::Tunnel, Some(service)) => (service, None),
            (Step::Cache(past_cache), Some(service)) => (service, Some(past_cache)),
        };
        let max_body = active.max_request_body(service.route().index());
        let (client, effective) = (target.client, for_the_cache(target));
        if let Some(edits) = active.edits_of(service.route().index())
            && let Some(answer) = edits.apply(request.headers_mut(), client)
        {
            request.extensions_mut().insert(answer);
        }
        let Some(past_cache) = past_cache else {
            let active = Guard::into_inner(active);
            return Handling::waiting(async move { upgrade(&active, pending, limited(request, max_body), &peer).await });
        };
        let context = ClientContext { connection, interim: peer.interim_responses(connection.version) };
        let codings = active.codings_of(service.route().index()).filter(|_| past_cache.is_none() && request.body().is_end_stream());
        if let Some(negotiated) = codings.and_then(|codings| codings.negotiate(&mut request)) {
            let answer = walk(service, limited(request, max_body), effective.clone(), None, context.clone());
            let again = Again { service: service.clone(), effective, context };
            return Handling::waiting(pending.waits_negotiated(Guard::into_inner(active), answer, negotiated, again));
        }
        match walk(service, limited(request, max_body), effective, past_cache, context).into_ready() {
            Ok(served) => Handling::ready(pending.served(&active, served)),
            // Across an await the configuration is held by count, not by the thread's slot.
            Err(waiting) => Handling::waiting(pending.waits(Guard::into_inner(active), waiting)),
        }
    }
}

impl Gateway {
    /// The id of a request, where requests have one.
    fn request_id(&self, active: &ActiveConfig, headers: &mut HeaderMap, connection: &ClientConnection) -> Option<HeaderValue> {
        active.config.server.request_id.then(|| self.request_ids.give(headers, active.trusted.contains(connection.peer)))
    }
}

/// The gateway as the public listeners know it.
#[derive(Clone)]
pub(crate) struct PublicHandler(pub(crate) Arc<Gateway>);

impl Handler for PublicHandler {
    type Body = LoggedBody<GatewayBody>;
    type Future = Handling;
    type Waiting = Pooled<Answered>;

    const ANSWERS_PLAIN: bool = true;

    fn answer_plain(&self, request: &mut Request<()>, peer: &Peer, head: &mut Vec<u8>) -> Option<PlainAnswer<Self::Body, Self::Waiting>> {
        self.0.answer_plain(request, peer, head)
    }

    fn handle(&self, request: Request<Incoming>, peer: Peer) -> Handling {
        self.0.handle(request, peer)
    }

    /// The listener's own answers are logged and counted as all others are.
    fn on_local_reply<B>(&self, reply: &LocalReply<'_, B>) {
        let gateway = &*self.0;
        let active = gateway.active.load();
        let entry = match reply.request {
            Some(request) => {
                let connection = ClientConnection { peer: reply.peer, secure: reply.secure, version: request.version() };
                let target = effective_target(request.uri(), request.headers(), &connection, &active.trusted);
                gateway.access_log.begin(request, Some(target.client), || gateway.clock.now())
            }
            None => gateway.access_log.begin_unread(Some(reply.peer), || gateway.clock.now()),
        };
        let method = reply.request.map(Request::method);
        let bytes = Some(reply.bytes as u64);
        let record = RequestRecord { method, status: reply.status, result: None, reason: None, elapsed: Duration::ZERO, bytes };
        active.metrics.request(None, &record);
        entry.responded(reply.status, reply.bytes, &ResponseRecord { problem: reply.problem, ..ResponseRecord::default() });
    }
}

fn walk(
    service: &Service,
    request: Request<Limited<Lingering>>,
    effective: larder_tower::EffectiveTarget,
    past_cache: Option<Reason>,
    context: ClientContext,
) -> ServeFuture<WayBody> {
    let extend = |extensions: &mut http::Extensions| {
        extensions.insert(context);
    };
    match past_cache {
        Some(reason) => service.pass_by(request, effective, reason, extend),
        None => service.serve(request, effective, extend),
    }
}

/// Past the cache, on a connection of its own.
async fn upgrade(
    active: &ActiveConfig,
    pending: PendingAnswer,
    request: Request<Limited<Lingering>>,
    peer: &Peer,
) -> Response<LoggedBody<GatewayBody>> {
    let Some(way) = pending.route.and_then(|route| active.way_of(route)) else { return pending.refused(active, FAILED) };
    let started = monotonic();
    let client = TunnelClient {
        connection: peer.client_connection(request.version()),
        idle: peer.tunnel_idle(),
        first_byte_timeout: None,
        guard: Box::new(peer.clone()),
    };
    match way.upgrade(request, client).await {
        Ok(response) => {
            let mut served = Served::passed(response, Reason::Upgrade);
            served.outcome.upstream = Some(monotonic().saturating_duration_since(started));
            pending.served(active, served)
        }
        Err(error) => pending.failed_at(active, &error),
    }
}

/// A request once more, by the same client.
struct Again {
    service: Service,
    effective: larder_tower::EffectiveTarget,
    context: ClientContext,
}

impl Again {
    fn ask(self, request: Request<()>) -> ServeFuture<WayBody> {
        let request = request.map(|()| http_body_util::Empty::<bytes::Bytes>::new());
        self.service.serve(request, self.effective, |extensions| {
            extensions.insert(self.context);
        })
    }
}

impl PendingAnswer {
    /// As [`Self::waits`], for a client that may not accept the coding of what is stored.
    async fn waits_negotiated(
        self,
        active: Arc<ActiveConfig>,
        waiting: ServeFuture<WayBody>,
        negotiated: Box<Negotiated>,
        again: Again,
    ) -> Answered {
        let mut served = waiting.await;
        if let Ok(answer) = &served {
            let verdict = negotiated.judge(&answer.response);
            if matches!(verdict, Verdict::AskAsSent | Verdict::AskForWhole) {
                served = again.ask(negotiated.asked_again(verdict)).await;
            }
        }
        match served {
            Ok(mut served) => {
                served.response = negotiated.finished(served.response);
                self.served(&active, served)
            }
            Err(error) => self.failed(&active, &error),
        }
    }

    /// The answer once it is there.
    async fn waits(self, active: Arc<ActiveConfig>, waiting: ServeFuture<WayBody>) -> Answered {
        match waiting.await {
            Ok(served) => self.served(&active, served),
            Err(error) => self.failed(&active, &error),
        }
    }

    fn served(self, active: &ActiveConfig, served: Served<WayBody>) -> Response<LoggedBody<GatewayBody>> {
        let Served { mut response, outcome, .. } = served;
        if outcome.reason == Reason::OnlyIfCached {
            let (parts, body) = NOT_STORED.response(&self.method).map(CacheBody::from_bytes).into_parts();
            response.headers_mut().extend(parts.headers);
            *response.body_mut() = body;
        }
        if outcome.reason == Reason::Cookie
            && let Some(index) = self.route
            && let Some(route) = active.settings_of(index)
        {
            active.hints.see_cookies(index, route);
        }
        self.answered(active, response, Some(&outcome))
    }

    fn failed(self, active: &ActiveConfig, error: &FetchError) -> Response<LoggedBody<GatewayBody>> {
        if let Some(error) = error.downcast_ref::<FailedElsewhere>() {
            return self.failed_elsewhere(active, error);
        }
        match error.downcast_ref::<UpstreamError>() {
            Some(error) => self.failed_at(active, error),
            None => {
                tracing::debug!(error = %error, "a request could not be completed");
                self.refused(active, FAILED)
            }
        }
    }

    /// The log has been told of it where it happened (`upstream::protect::failure_log`).
    fn failed_at(self, active: &ActiveConfig, error: &UpstreamError) -> Response<LoggedBody<GatewayBody>> {
        let problem = error.problem();
        let Some(upstream) = self.route.and_then(|route| active.upstream_name(route)) else { return self.refused(active, problem) };
        // `next-hop` names the upstream only where the failure is not the client's.
        let response = match error.is_origin_failure() || error.is_refusal() {
            true => problem.response_about(&self.method, upstream),
            false => problem.response(&self.method),
        };
        let response = response.map(CacheBody::from_bytes);
        let reached = !error.is_refusal();
        let time = reached.then(|| monotonic().saturating_duration_since(self.started));
        let answer = ResponseRecord {
            upstream: reached.then_some(upstream),
            upstream_time: time,
            problem: Some(problem),
            ..ResponseRecord::default()
        };
        self.ended(active, response, None, answer)
    }

    /// The origin was asked by another replica, whose log and metrics have it.
    fn failed_elsewhere(self, active: &ActiveConfig, error: &FailedElsewhere) -> Response<LoggedBody<GatewayBody>> {
        let problem = UpstreamError::problem_of(error.word()).unwrap_or(FAILED);
        let Some(upstream) = self.route.and_then(|route| active.upstream_name(route)) else { return self.refused(active, problem) };
        let response = problem.response_about(&self.method, upstream).map(CacheBody::from_bytes);
        self.ended(active, response, None, ResponseRecord { problem: Some(problem), ..ResponseRecord::default() })
    }

    fn refused(self, active: &ActiveConfig, problem: Problem) -> Response<LoggedBody<GatewayBody>> {
        let response = problem.response(&self.method).map(CacheBody::from_bytes);
        self.ended(active, response, None, ResponseRecord { problem: Some(problem), ..ResponseRecord::default() })
    }

    fn answered(
        self,
        active: &ActiveConfig,
        response: Response<GatewayBody>,
        outcome: Option<&Outcome>,
    ) -> Response<LoggedBody<GatewayBody>> {
        let fetched = outcome.filter(|outcome| outcome.upstream.is_some());
        let answer = ResponseRecord {
            upstream: fetched.and_then(|_| active.upstream_name(self.route?)),
            upstream_status: fetched.and_then(|outcome| outcome.upstream_status),
            upstream_time: fetched.and_then(|outcome| outcome.upstream),
            stored: fetched.map(|outcome| outcome.stored),
            ..ResponseRecord::default()
        };
        self.ended(active, response, outcome, answer)
    }

    fn ended(
        self,
        active: &ActiveConfig,
        mut response: Response<GatewayBody>,
        outcome: Option<&Outcome>,
        answer: ResponseRecord<'_>,
    ) -> Response<LoggedBody<GatewayBody>> {
        let elapsed = monotonic().saturating_duration_since(self.started);
        let (result, reason) = (outcome.map(|outcome| outcome.result), outcome.map(|outcome| outcome.reason));
        let bytes = response.body().size_hint().exact();
        let record = RequestRecord { method: Some(&self.method), status: response.status(), result, reason, elapsed, bytes };
        active.metrics.request(self.route, &record);
        let answer = ResponseRecord {
            route: self.route.and_then(|route| active.route_name(route)),
            result,
            reason,
            key: outcome.and_then(|outcome| outcome.key.as_ref()),
            collapsed: outcome.is_some_and(|outcome| outcome.collapsed),
            ..answer
        };
        if let Some(id) = self.request_id {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        if let Some(happening) = self.happening {
            happening.ended(response.status(), bytes, elapsed, &answer);
        }
        let uncounted = result.filter(|_| bytes.is_none());
        let uncounted = uncounted.map(|result| Uncounted { metrics: Arc::clone(&active.metrics), route: self.route, result, bytes: 0 });
        self.entry.respond(response, &answer).map(|body| body.counting(uncounted))
    }
}
