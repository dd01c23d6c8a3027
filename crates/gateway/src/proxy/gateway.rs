//! The walk of a request between the listener and the cache layer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::verify::Sampled;
use arc_swap::{ArcSwap, Guard};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::{Body as _, Incoming};
use larder_semantics::Timestamp;
use larder_tower::clock::{Clock, monotonic};
use larder_tower::{Cache, CacheBody, CacheResult, CacheService, Plain, Pooled};

use super::handling::Handling;
use super::onward::{upgrade, walk, walk_negotiated};
use super::paths::judge_path;
use super::pending::PendingAnswer;
use super::public::Wanted;
use super::request_id::RequestIds;
use super::request_limit::{is_too_large, limited};
use super::session_cookie::take_session_cookie;
use super::shadowing::Shadowing;
use super::tracing::Tracing;
use super::way::{NO_ROUTE, Step, for_the_cache, way};
use crate::acme::{Acme, ChallengeRequest};
use crate::active::ActiveConfig;
use crate::alerts::Alerts;
use crate::client::{ClientConnection, effective_target};
use crate::disk::Disk;
use crate::exports::access_logs::AccessLogs;
use crate::exports::traces::Exporters;
use crate::jobs::Jobs;
use crate::limits::{Answers, UnderLimits};
use crate::listeners::Certificates;
use crate::purge::{ChannelCounts, USUAL_WAIT, public, purge};
use crate::redis::Redis;
use crate::reloads::Reloads;
use crate::replicas::{self, ReplicasReport};
use crate::routing::{RouteUpstream, WayBody, head_of, reads_content};
use crate::server::{Handshakes, Http2Limits, OpenConnections, Peer, PlainAnswer, lingering};
use crate::stats::History;
use crate::telemetry::access_log::LoggedBody;
use crate::telemetry::observe::Observers;
use crate::upstream::ClientContext;

/// The handler of all requests on the public listeners.
pub(crate) struct Gateway {
    pub(crate) active: ArcSwap<ActiveConfig>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) disk: Option<Disk>,
    pub(crate) redis: Option<Redis>,
    pub(crate) clock: Clock,
    pub(crate) access_logs: AccessLogs,
    pub(crate) observers: Arc<Observers>,
    pub(crate) request_ids: RequestIds,
    /// The name by which people know this replica.
    pub(crate) name: String,
    pub(crate) history: History,
    pub(crate) alerts: Alerts,
    pub(crate) connections: OpenConnections,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) acme: Arc<Acme>,
    pub(crate) jobs: Jobs,
    pub(crate) handshakes: Handshakes,
    pub(crate) http2_limits: Http2Limits,
    pub(crate) channel_counts: ChannelCounts,
    pub(crate) reloads: Reloads,
    pub(crate) exporters: Exporters,
    /// When the process started.
    pub(crate) started: Timestamp,
}

pub(super) type Answered = Response<LoggedBody<GatewayBody>>;

pub(super) type GatewayBody = CacheBody<WayBody>;
/// The service of one route.
pub(crate) type Service = CacheService<RouteUpstream>;

impl Gateway {
    /// The replicas, as they stand now.
    pub(crate) fn replicas(&self) -> ReplicasReport {
        replicas::report(self.redis.as_ref(), &self.name, self.cache.stats().ledger.position.0)
    }

    /// Answers a request without content that was read before hyper, if it is one that `wanted` takes: the same walk as [`Self::handle`] takes, where
    /// nothing lies beside it.
    pub(super) fn answer_plain(
        &self,
        request: &mut Request<()>,
        peer: &Peer,
        head: &mut Vec<u8>,
        wanted: Wanted,
    ) -> Option<PlainAnswer<LoggedBody<GatewayBody>, Pooled<Answered>>> {
        let started = monotonic();
        let active = self.active.load();
        take_own_cookie(&active, request.headers_mut());
        let connection = peer.client_connection(request.version());
        let request_id = self.request_id(&active, request.headers_mut(), &connection);
        let target = effective_target(request.uri(), request.headers(), &connection, &active.trusted);
        let path = request.uri().path();
        let service = active.route(request, &target.authority)?;
        if !matches!(judge_path(&active, service, request.method(), &target.authority, path), Ok(None)) {
            return None;
        }
        let verify = active.verify_of(service.route().index());
        if verify.is_some_and(|verify| verify.is_shadow()) {
            return None;
        }
        let (client, scheme) = (target.client, target.scheme);
        let limits = active.limits_of(service.route().index()).map(|limits| (limits, limits.keys(request, client)));
        let (effective, mut response_edits, mut as_sent) = (for_the_cache(target), None, None);
        if let Some(edits) = active.edits_of(service.route().index()) {
            // The log has the fields that the client sent.
            as_sent = self.is_noted(&active).then(|| request.clone());
            response_edits = edits.apply(request.headers_mut(), client, active.trusted.contains(connection.peer));
        }
        let accepted = active.codings_of(service.route().index()).and_then(|codings| codings.ask_for_all(request));
        let looked_up = active.tracer.as_ref().map(|_| monotonic());
        let plain = wanted.look_up(service, request, &effective)?;
        if accepted.is_some_and(|accepted| !accepted.takes_plainly(&plain)) {
            return None;
        }
        // From here on it is answered, so what is taken is used.
        let entered = match &limits {
            None => None,
            Some((limits, keys)) => Some(limits.enter_at_once(keys)?),
        };
        let arrival = Arrival { connection: &connection, client, scheme, started, request_id };
        let mut pending = self.begin(&active, as_sent.as_ref().unwrap_or(request), arrival);
        pending.route = Some(service.route().index());
        let mut ticket = None;
        // Set where there are limits only: they are large, and most requests have none.
        if let (Some(entered), Some((limits, keys))) = (entered, limits) {
            (pending.limited, ticket) = entered.begun(limits, keys);
        }
        pending.tracing.looked_up(looked_up);
        match plain {
            Plain::Stored(answer) => {
                if let Some(verify) = verify.filter(|verify| verify.draws()) {
                    let mut head = head_of(request);
                    // The origin's answer is changed as the stored one was.
                    response_edits.clone().and_then(|edits| head.extensions_mut().insert(edits));
                    Sampled::of(verify, service, head, &effective, connection).into_iter().for_each(Sampled::begin);
                }
                Some(match answer.length() {
                    Some(_) => PlainAnswer::Written(pending.written(&active, answer, head)),
                    // A stream: hyper writes it, and finds it there already.
                    None => PlainAnswer::Waiting(Pooled::new(std::future::ready(pending.served(&active, answer.into_served())))),
                })
            }
            Plain::Fetch(planned) => {
                let context = ClientContext {
                    connection,
                    interim: peer.interim_responses(connection.version),
                    min_upload_rate: peer.min_upload_rate(),
                    observer: pending.observer(),
                };
                let waiting = service.fetch(std::mem::take(request), planned, |upstream, extensions| {
                    upstream.is_for(context);
                    pending.tracing.extend(extensions);
                    pending.limited.extend(ticket, extensions);
                    response_edits.and_then(|edits| extensions.insert(edits));
                });
                Some(PlainAnswer::Waiting(Pooled::new(pending.waits(Guard::into_inner(active), waiting))))
            }
        }
    }

    /// Answers one request. A hit is answered before this returns.
    pub(crate) fn handle(self: &Arc<Self>, mut request: Request<Incoming>, peer: Peer) -> Handling {
        let started = monotonic();
        let active = self.active.load();
        take_own_cookie(&active, request.headers_mut());
        if let Some(answers) = ask_ahead(&active, &request, &peer) {
            // It has begun: what Redis takes is the client's time, and a client that leaves meanwhile has its line in the log.
            let connection = peer.client_connection(request.version());
            let request_id = self.request_id(&active, request.headers_mut(), &connection);
            let target = effective_target(request.uri(), request.headers(), &connection, &active.trusted);
            let arrival = Arrival { connection: &connection, client: target.client, scheme: target.scheme, started, request_id };
            let begun = Box::new(self.begin(&active, &request, arrival));
            let gateway = Arc::clone(self);
            return Handling::waiting(async move {
                request.extensions_mut().insert(answers.await);
                let answer = gateway.go_on(gateway.active.load(), request, peer, Begun::Before(begun));
                answer.await
            });
        }
        self.go_on(active, request, peer, Begun::Now(started))
    }

    /// Answers a request for which nothing is to be asked ahead any more.
    fn go_on(self: &Arc<Self>, active: Guard<Arc<ActiveConfig>>, request: Request<Incoming>, peer: Peer, begun: Begun) -> Handling {
        let mut request = lingering(request);
        let connection = peer.client_connection(request.version());
        let request_id = match begun {
            Begun::Now(_) => self.request_id(&active, request.headers_mut(), &connection),
            Begun::Before(_) => None,
        };
        let target = effective_target(request.uri(), request.headers(), &connection, &active.trusted);
        let mut pending = match begun {
            Begun::Now(started) => {
                let arrival = Arrival { connection: &connection, client: target.client, scheme: target.scheme, started, request_id };
                self.begin(&active, &request, arrival)
            }
            Begun::Before(pending) => *pending,
        };
        let way = way(&active, &request, &target, |max| is_too_large(&request, max));
        pending.route = way.service.map(|service| service.route().index());
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
        let (delay, ticket) = match pending.enter(&active, &request, client) {
            Ok(entered) => entered,
            Err(over) => return Handling::ready(pending.over_limit(&active, &over)),
        };
        if let Some(edits) = active.edits_of(service.route().index())
            && let Some(answer) = edits.apply(request.headers_mut(), client, active.trusted.contains(connection.peer))
        {
            request.extensions_mut().insert(answer);
        }
        let Some(past_cache) = past_cache else {
            let service = service.clone();
            let active = Guard::into_inner(active);
            pending.limited.extend(ticket, request.extensions_mut());
            let request = limited(request, max_body);
            return Handling::after(delay, async move { upgrade(active, service, pending, request, effective, &peer).await });
        };
        let context = ClientContext {
            connection,
            interim: peer.interim_responses(connection.version),
            min_upload_rate: peer.min_upload_rate(),
            observer: None,
        };
        let verify = active.verify_of(service.route().index()).filter(|_| past_cache.is_none());
        if let Some(verify) = verify.filter(|verify| verify.is_shadow() && service.route().reads(request.method())) {
            let (service, verify) = (service.clone(), Arc::clone(verify));
            let shadowing = Shadowing { active: Guard::into_inner(active), service, verify, effective, context, ticket };
            return Handling::after(delay, shadowing.answered(pending, limited(request, max_body)));
        }
        let codings = active.codings_of(service.route().index()).filter(|_| past_cache.is_none());
        if let Some(codings) = codings.filter(|_| reads_content(service.route(), request.method())) {
            codings.narrow(request.headers_mut());
        }
        let codings = codings.filter(|_| request.body().is_end_stream());
        if let Some(negotiated) = codings.and_then(|codings| codings.negotiate(&mut request)) {
            let (answer, again) = walk_negotiated(service, limited(request, max_body), effective, context, &mut pending, ticket);
            return Handling::after(delay, pending.waits_negotiated(Guard::into_inner(active), answer, negotiated, again));
        }
        let began = pending.tracing.now();
        let sampled = verify
            .filter(|verify| verify.draws())
            .and_then(|verify| Sampled::of(verify, service, head_of(&request), &effective, connection));
        let answer = walk(service, limited(request, max_body), effective, past_cache, |extensions| {
            extensions.insert(ClientContext { observer: pending.observer(), ..context });
            pending.tracing.extend(extensions);
            pending.limited.extend(ticket, extensions);
        });
        pending.tracing.looked_up(began);
        if !delay.is_zero() {
            return Handling::after(delay, pending.waits(Guard::into_inner(active), answer));
        }
        match answer.into_ready() {
            Ok(served) => {
                sampled.filter(|_| served.outcome.result == CacheResult::Hit).into_iter().for_each(Sampled::begin);
                Handling::ready(pending.served(&active, served))
            }
            // Across an await the configuration is held by count, not by the thread's slot.
            Err(waiting) => Handling::waiting(pending.waits(Guard::into_inner(active), waiting)),
        }
    }
}

/// Takes the dashboard's cookie out of a request. Only a token opens a session, so that without one no request is looked at.
fn take_own_cookie(active: &ActiveConfig, headers: &mut HeaderMap) {
    if !active.config.admin.tokens.is_empty() {
        take_session_cookie(headers);
    }
}

/// How far the notes of a request are.
enum Begun {
    /// It arrived then, and has none yet.
    Now(Instant),
    /// It has waited since.
    Before(Box<PendingAnswer>),
}

/// Asks Redis for what the limits of a request's route need before the look-up; `None` where they need nothing.
fn ask_ahead(active: &ActiveConfig, request: &Request<Incoming>, peer: &Peer) -> Option<impl Future<Output = Answers> + Send + 'static> {
    if !active.limits.ask_ahead() {
        return None;
    }
    let connection = peer.client_connection(request.version());
    let target = effective_target(request.uri(), request.headers(), &connection, &active.trusted);
    let limits = active.limits_of(active.route(request, &target.authority)?.route().index())?;
    if request.extensions().get::<Answers>().is_some_and(|answers| answers.are_about(limits)) {
        return None;
    }
    limits.ask_ahead(limits.keys(request, target.client))
}

/// The facts about a request that has just been read.
struct Arrival<'a> {
    connection: &'a ClientConnection,
    client: IpAddr,
    scheme: &'static str,
    started: Instant,
    request_id: Option<HeaderValue>,
}

impl Gateway {
    /// Answers an authority that looks whether a host leads here. What is no challenge of ours may be one of the origin's.
    pub(super) async fn prove(self: &Arc<Self>, mut request: Request<Incoming>, peer: Peer, asked: ChallengeRequest) -> Answered {
        let started = monotonic();
        let Some(proof) = asked.answer().await else { return self.handle(request, peer).await };
        let active = self.active.load_full();
        let connection = peer.client_connection(request.version());
        let request_id = self.request_id(&active, request.headers_mut(), &connection);
        let arrival = Arrival { connection: &connection, client: peer.address().ip(), scheme: "http", started, request_id };
        let mut pending = self.begin(&active, &request, arrival);
        let mut response = Response::new(CacheBody::from_bytes(proof.into()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        pending.answered(&active, response, None)
    }

    /// Whether anybody may want to see more of a request than its method.
    fn is_noted(&self, active: &ActiveConfig) -> bool {
        active.access_log.is_on() || self.observers.is_wanted() || active.tracer.is_some()
    }

    /// Begins what is noted of a request until it is answered: its line, its place among those that people look at, its trace.
    fn begin<B>(&self, active: &ActiveConfig, request: &Request<B>, arrival: Arrival<'_>) -> PendingAnswer {
        let Arrival { connection, client, scheme, started, request_id } = arrival;
        let now = || self.clock.now();
        PendingAnswer {
            method: request.method().clone(),
            started,
            entry: active.access_log.begin(request, Some(client), now),
            route: None,
            request_id,
            happening: self.observers.begin(request, scheme, client, now),
            tracing: Tracing::begin(active.tracer.as_ref(), request, || active.trusted.contains(connection.peer), scheme, (started, now)),
            exchange: None,
            tokens_saved: None,
            limited: UnderLimits::default(),
        }
    }

    /// The id of a request, where requests have one.
    fn request_id(&self, active: &ActiveConfig, headers: &mut HeaderMap, connection: &ClientConnection) -> Option<HeaderValue> {
        active.config.server.request_id.then(|| self.request_ids.give(headers, active.trusted.contains(connection.peer)))
    }
}
