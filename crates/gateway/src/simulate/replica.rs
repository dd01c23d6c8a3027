//! A gateway that is given the requests of a log: the routes, keys, rules and memory of a configuration, without network, at the log's times.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HOST, RANGE, UPGRADE};
use http::{HeaderName, HeaderValue, Request, StatusCode, Version};
use http_body_util::Empty;
use larder_semantics::{MethodKind, Reason, Timestamp};
use larder_simulate::{Decision, LogRecord, OriginAnswer, Verdict};
use larder_store::{Slot, StoredResponse};
use larder_tower::clock::{Clock, ClockHand};
use larder_tower::{Cache, CacheResult, FetchError, Outcome, Served};

use super::assumed::Assumptions;
use super::origin::LoggedOrigin;
use crate::active::{ActiveConfig, SetupError};
use crate::client::{ClientConnection, EffectiveTarget, effective_target};
use crate::config::Config;
use crate::proxy::{Service, Step, for_the_cache, way};
use crate::routing::{WayBody, reads_content};
use crate::trials::{settle, without_network};
use crate::upstream::ClientContext;

/// A gateway under test.
pub(super) struct Replica {
    active: ActiveConfig,
    cache: Arc<Cache>,
    hand: ClockHand,
    now: Timestamp,
    origin: Arc<LoggedOrigin>,
    assumptions: Assumptions,
    /// Whether decisions tell how long what is stored is fresh.
    tells_lifetimes: bool,
}

impl Replica {
    /// From a configuration with a memory of so many bytes. It begins at a time.
    pub(super) fn new(config: Config, capacity: u64, assumptions: Assumptions, start: Timestamp) -> Result<Self, SetupError> {
        let (clock, hand) = Clock::manual(start);
        let origin = Arc::<LoggedOrigin>::default();
        let cache = Cache::builder(capacity).max_object(config.largest_object().min(capacity)).clock(clock.clone()).build();
        let active = without_network(config, &cache, &clock, Arc::clone(&origin) as _)?;
        Ok(Self { active, cache, hand, now: start, origin, assumptions, tells_lifetimes: false })
    }

    /// The same, whose decisions tell how long what is stored is fresh.
    pub(super) fn telling_lifetimes(self) -> Self {
        Self { tells_lifetimes: true, ..self }
    }

    /// The names of its routes, the one for everything else last.
    pub(super) fn routes(&self) -> Vec<Arc<str>> {
        let config = &self.active.config;
        config.routes.iter().chain(&config.fallback).map(|route| Arc::clone(&route.name)).collect()
    }

    /// Decides about the request of a record, to which the origin's answer is this. Everything that this sets off has come to its end afterwards.
    pub(super) async fn decide(&mut self, record: &LogRecord, answer: &Arc<OriginAnswer>) -> Decision {
        self.hand.advance_by(Duration::from_millis(record.time.as_millis().saturating_sub(self.now.as_millis())));
        self.now = record.time.max(self.now);
        let decision = self.walk(record, answer).await;
        settle().await;
        Decision { origin_requests: decision.origin_requests + self.origin.take_asked(), ..decision }
    }

    /// The way of `proxy::Gateway::handle`, without what is logged, counted and limited.
    async fn walk(&self, record: &LogRecord, answer: &Arc<OriginAnswer>) -> Decision {
        let active = &self.active;
        let mut request = self.request(record);
        let peer = record.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let connection = ClientConnection { peer, secure: record.secure.unwrap_or_default(), version: Version::HTTP_11 };
        let sent = request.clone();
        let target = effective_target(sent.uri(), sent.headers(), &connection, &active.trusted);
        let way = way(active, &request, &target, |_| false);
        let route = way.service.map(|service| service.route().index());
        let mut decision = undecided(record, route);
        let (service, past_cache) = match (way.step, way.service) {
            (Step::Cache(past_cache), Some(service)) => (service, past_cache),
            (Step::Tunnel, _) => return Decision { reason: Reason::Upgrade, verdict: Verdict::Bypass, origin_requests: 1, ..decision },
            (Step::Purge | Step::Refuse(_) | Step::Cache(_), _) => return decision,
        };
        let settings = active.settings_of(service.route().index()).map(|route| &route.settings);
        let is_cached = settings.is_some_and(|settings| settings.cache);
        let has_operations = settings.and_then(|settings| settings.content.as_ref()).is_some_and(|content| content.kind.has_operations());
        // Where the route is not cached, only operations make a difference between reads and writes.
        if reads_content(service.route(), request.method()) && (is_cached || has_operations) {
            // Its key has the content in it, which no log has. It is a read, whatever its method is.
            let reason = past_cache.unwrap_or(if is_cached { Reason::BodyNotKeyed } else { Reason::RouteNotCached });
            return Decision { reason, verdict: Verdict::Bypass, origin_requests: 1, is_write: false, ..decision };
        }
        if decision.is_write {
            decision.invalidates = invalidates(service, sent.clone(), &target);
        }
        let (client, effective) = (target.client, for_the_cache(target));
        self.origin.answers(self.answer_of(service.route().index(), answer));
        let edits = active.edits_of(service.route().index());
        let edits = edits.and_then(|edits| edits.apply(request.headers_mut(), client, active.trusted.contains(connection.peer)));
        edits.and_then(|edits| request.extensions_mut().insert(edits));
        if let Some(codings) = active.codings_of(service.route().index()).filter(|_| past_cache.is_none()) {
            codings.ask_for_all(&mut request);
        }
        let extend = |extensions: &mut http::Extensions| {
            extensions.insert(ClientContext { connection, interim: None, min_upload_rate: 0, observer: None });
        };
        let request = request.map(|()| Empty::<Bytes>::new());
        let served = match past_cache {
            Some(reason) => service.pass_by(request, effective, reason, extend),
            None => service.serve(request, effective, extend),
        };
        let served = match served.into_ready() {
            Ok(served) => Ok(served),
            Err(waiting) => waiting.await,
        };
        self.decided(decision, served)
    }

    fn decided(&self, decision: Decision, served: Result<Served<WayBody>, FetchError>) -> Decision {
        let Ok(Served { outcome, .. }) = served else {
            return Decision { verdict: Verdict::Miss, reason: Reason::UpstreamError, ..decision };
        };
        let Outcome { result, reason, stored, stale, key, .. } = outcome;
        let verdict = match result {
            CacheResult::Hit => Verdict::Hit,
            CacheResult::Revalidated => Verdict::Revalidated,
            CacheResult::Miss => Verdict::Miss,
            CacheResult::Bypass => Verdict::Bypass,
        };
        let filled = key.as_ref().filter(|_| self.tells_lifetimes && stored && verdict == Verdict::Miss);
        let slots = filled.map(|key| self.cache.slots_of(key)).unwrap_or_default();
        // Of several variants the one that was just stored is fresh for longest, as a rule.
        let responses = slots.iter().filter_map(|slot| if let Slot::Response(stored) = slot { Some(stored) } else { None });
        let newest = responses.max_by_key(|stored| stored.head.ttl(self.now));
        let lifetime = newest.map(|stored| u32::try_from(stored.head.ttl(self.now)).unwrap_or_default());
        let fields = newest.map(|stored| self.chosen_by(decision.route, stored)).unwrap_or_default();
        Decision { verdict, reason, stored, stale, url: key.map(|key| key.url().into()), fields, lifetime, ..decision }
    }

    /// Fields of requests by which a response is chosen besides its URL.
    fn chosen_by(&self, route: Option<usize>, stored: &StoredResponse) -> Vec<HeaderName> {
        let keyed = route.and_then(|route| self.active.settings_of(route)).map_or(&[][..], |route| &route.settings.key.headers);
        let varied = stored.variant().map_or(&[][..], |variant| variant.spec.names());
        keyed.iter().chain(varied.iter().filter(|name| !keyed.contains(name))).cloned().collect()
    }

    /// The request as its client would have sent it.
    fn request(&self, record: &LogRecord) -> Request<()> {
        let mut request = Request::new(());
        (*request.method_mut(), *request.uri_mut()) = (record.method.clone(), record.target.clone());
        let fields = request.headers_mut();
        fields.clone_from(&record.request_fields);
        let host = record.host.as_deref().and_then(|host| HeaderValue::from_str(host).ok());
        fields.insert(HOST, host.unwrap_or_else(|| self.assumptions.host.clone()));
        if let Some(user) = record.user.as_deref().and_then(|user| HeaderValue::from_str(&format!("Basic {user}")).ok()) {
            fields.insert(AUTHORIZATION, user);
        }
        match record.status {
            StatusCode::SWITCHING_PROTOCOLS => {
                fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
            }
            StatusCode::PARTIAL_CONTENT if !fields.contains_key(RANGE) => {
                let range = format!("bytes=0-{}", record.bytes.saturating_sub(1));
                fields.extend(HeaderValue::from_str(&range).ok().map(|range| (RANGE, range)));
            }
            _ => {}
        }
        request
    }

    /// The origin's answer, with what is assumed for the route where the log does not tell.
    fn answer_of(&self, route: usize, answer: &Arc<OriginAnswer>) -> Arc<OriginAnswer> {
        let mut answer = Arc::clone(answer);
        if self.assumptions.are_of(route) {
            self.assumptions.add_to(route, &mut Arc::make_mut(&mut answer).fields);
        }
        answer
    }
}

/// Nothing is known yet: as for a request that no route is for.
fn undecided(record: &LogRecord, route: Option<usize>) -> Decision {
    Decision {
        route,
        verdict: Verdict::Refused,
        reason: Reason::OddPath,
        stored: false,
        stale: false,
        url: None,
        fields: Vec::new(),
        lifetime: None,
        origin_requests: 0,
        is_write: MethodKind::of(&record.method) == MethodKind::Unsafe,
        invalidates: 0,
    }
}

/// The number of targets that a write invalidates besides its own URL.
fn invalidates(service: &Service, sent: Request<()>, target: &EffectiveTarget<'_>) -> u32 {
    let parts = sent.into_parts().0;
    let rules = service.route().writes().invalidates(&parts, target.of(&parts.uri));
    let by_bodies = rules.by_bodies.as_ref().map_or(0, |bodies| bodies.in_request().len() + bodies.in_response().len());
    u32::try_from(rules.known.len() + by_bodies).unwrap_or(u32::MAX)
}
