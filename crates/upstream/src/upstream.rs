//! The policy of one upstream over its servers: how many exchanges there are at a time, which server has the next one, and what observers are
//! told.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::request::Parts;
use http::{Extensions, HeaderMap, Response, StatusCode, Version, header};
use http_body::Body;
use larder_message::OriginOutcome;
use larder_message::client::ClientConnection;
use larder_message::forward::{self, HostPolicy};
use larder_tower::clock::monotonic;
use larder_tower::{RequestBody, SentBefore};

use crate::balance::server::Server;
use crate::balance::server_set::ServerSet;
use crate::balance::servers::{HashInput, Servers};
use crate::balance::standing::Began;
use crate::connect::tls_config;
use crate::endpoint::Endpoint;
use crate::error::UpstreamError;
use crate::exchange::body::{Held, Source, UpstreamBody};
use crate::exchange::transport::Outgoing;
use crate::http1::Malformed;
use crate::names::look_up::Found;
use crate::observe::UpstreamStats;
use crate::options::{UpstreamOptions, UpstreamSetupError};
use crate::protect::budget::Budget;
use crate::protect::concurrency::{ConcurrencyLimit, Permit};
use crate::protect::health::Health;
use crate::protect::learnt::LearntLimits;
use crate::request::content::Progress;
use crate::request::expect::Gate;
use crate::request::interim::InterimSink;
use crate::request::pace::HeadTimeout;

/// The policy over the servers of one upstream.
pub(crate) struct Upstream {
    pub(crate) options: UpstreamOptions,
    pub(crate) stats: Arc<UpstreamStats>,
    pub(crate) concurrency: Arc<ConcurrencyLimit>,
    pub(crate) health: Arc<Health>,
    pub(crate) servers: ArcSwap<Servers>,
    /// That of `retry`, if it is configured.
    pub(crate) budget: Option<Budget>,
    /// Where `learn_limits` is set.
    pub(crate) learnt: Option<Arc<LearntLimits>>,
    /// For connections to servers that are found later.
    tls: rustls::ClientConfig,
    /// Whether its background tasks were begun.
    pub(crate) begun: Once,
    /// That of the configuration before, whose place it takes.
    before: Weak<Self>,
    is_retired: AtomicBool,
}

/// The head of a response, or why there is none.
pub(crate) type Answer = Result<Response<Source>, UpstreamError>;

impl Upstream {
    /// Connects to nothing yet. What `before` has that the section does not change stays: connections, figures and what is known of servers.
    pub(crate) fn new(options: UpstreamOptions, before: Option<&Arc<Self>>) -> Result<Self, UpstreamSetupError> {
        let config = &options.config;
        let (place, before) = (before.map(Arc::downgrade).unwrap_or_default(), before.map(|before| &**before));
        let stats = before.map_or_else(Arc::default, |before| Arc::clone(&before.stats));
        let tls = tls_config(config)?;
        let known = before.map(|before| before.servers.load_full());
        let server_set = ServerSet {
            options: &options,
            stats: &stats,
            tls: &tls,
            known: known.as_deref(),
            connects_alike: before.is_some_and(|before| Endpoint::connects_alike(&before.options.config, config)),
        };
        let servers = ArcSwap::from_pointee(server_set.at_first().ok_or(UpstreamSetupError::NoServer)?);
        let same_limit = before.filter(|before| before.options.config.limit == config.limit);
        let concurrency = same_limit.map(|before| Arc::clone(&before.concurrency));
        let concurrency = concurrency.unwrap_or_else(|| Arc::new(ConcurrencyLimit::new(Arc::clone(&config.name), config.limit)));
        let same_breaker = before.filter(|before| before.options.config.breaker == config.breaker);
        let health = same_breaker.map(|before| Arc::clone(&before.health));
        let health = health.unwrap_or_else(|| Arc::new(Health::new(&config.name, config.breaker)));
        let budget = config.retry.as_ref().map(|retry| Budget::new(retry.budget));
        let known = before.and_then(|before| before.learnt.clone());
        let learnt = config.learn_limits.then(|| known.unwrap_or_else(|| Arc::new(LearntLimits::new(Arc::clone(&config.name)))));
        let (begun, before, is_retired) = (Once::new(), place, AtomicBool::new(false));
        Ok(Self { stats, concurrency, health, servers, budget, learnt, tls, options, begun, before, is_retired })
    }

    /// Ends what the configuration before does in the background: both have the same servers, and only one of them says what is known of these.
    pub(crate) fn take_place(&self) {
        if let Some(before) = self.before.upgrade() {
            before.retire();
        }
        if self.options.config.health.is_none() {
            self.servers.load().all().iter().for_each(|server| server.standing.unchecked());
        }
    }

    /// No request begins here any more. Exchanges under way go on, for hours if they are long.
    pub(crate) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }

    /// Whether its background tasks are to end.
    pub(crate) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Acquire)
    }

    /// Names were looked up: for each server of the section what it stands for, or `None` where that failed and what was known goes on.
    pub(crate) fn resolved(&self, found: &[Option<BTreeSet<Found>>]) {
        let known = self.servers.load_full();
        let server_set =
            ServerSet { options: &self.options, stats: &self.stats, tls: &self.tls, known: Some(&known), connects_alike: true };
        if let Some(servers) = server_set.at(found) {
            self.servers.store(Arc::new(servers));
        }
    }

    /// The server that has the next exchange, of those that were not `tried` for it.
    pub(crate) fn pick(&self, parts: &Parts, client: Option<&ClientConnection>, tried: &[Arc<Server>]) -> Arc<Server> {
        let input = HashInput { parts, client, trusted: &self.options.trusted };
        self.servers.load().pick(&self.options, input, tried)
    }

    /// Whether a request that was chosen to go to this server, and has not gone yet, may go to one that is in service where this one is not.
    pub(crate) fn has_better_than(&self, server: &Server) -> bool {
        let may_move = self.options.config.retry.as_ref().is_some_and(|retry| retry.on.connect);
        may_move && !server.standing.is_up() && self.servers.load().all().iter().any(|other| other.standing.is_up())
    }

    /// Waits for a permit where none was free. While the breaker is open, the request is refused instead.
    pub(crate) async fn admit(&self, server: &Server, permit: Option<Permit>) -> Result<Held, UpstreamError> {
        self.health.check()?;
        let permit = match permit {
            Some(permit) => permit,
            None => Box::pin(self.concurrency.acquire()).await?,
        };
        if let Some(budget) = &self.budget {
            budget.deposit();
        }
        Ok(Held { _permit: Some(permit), _in_flight: server.standing.stats.begin_request() })
    }

    /// What an exchange holds that takes no place from clients' requests.
    pub(crate) fn unlimited(&self, server: &Server) -> Held {
        Held { _permit: None, _in_flight: server.standing.stats.begin_request() }
    }

    /// Sends a request to a server, and notes how that goes.
    pub(crate) async fn ask(
        &self,
        server: &Server,
        outgoing: Outgoing,
        (interim, progress): (&InterimSink, Option<Arc<Progress>>),
        timeout: HeadTimeout,
    ) -> Answer {
        let began = self.begin(server);
        let answer =
            outgoing.send(interim, progress, (timeout, &server.standing.stats)).await.and_then(|response| match response.status() {
                StatusCode::SWITCHING_PROTOCOLS => Err(UpstreamError::Protocol(Malformed::Switched.into())),
                _ => Ok(response),
            });
        self.ended(server, began, answer.as_ref().map(Response::status));
        answer
    }

    /// The time to the head of an answer: as `said`, or as the section says. The client has to send its content at `min_rate`.
    pub(crate) fn head_timeout(&self, said: Option<Duration>, min_rate: u64) -> HeadTimeout {
        HeadTimeout { timeout: said.unwrap_or(self.options.config.first_byte_timeout), min_rate }
    }

    /// A request is sent to a server. Where there is no other, nobody compares its times.
    pub(crate) fn begin(&self, server: &Server) -> Option<Began> {
        self.servers.load().are_several().then(|| server.standing.begin())
    }

    /// Notes how a request went, up to the response's head, and leaves the server out where that is one failure too many.
    pub(crate) fn ended(&self, server: &Server, began: Option<Began>, status: Result<StatusCode, &UpstreamError>) {
        let standing = &server.standing;
        let has_failed = standing.ended(status);
        let Some(began) = began else { return };
        let error = status.err();
        if error.is_none_or(UpstreamError::is_origin_failure) {
            standing.took(began, has_failed);
        }
        if has_failed
            && let Some(limit) = &self.options.config.eject
            && let Some(pause) = standing.is_failing(began, error, limit)
        {
            self.servers.load().leave_out(limit.max_share, || standing.eject(pause));
        }
    }

    /// Whether the content waits for a `100 (Continue)` (RFC 9110 §10.1.1: not for HTTP/1.0 clients, and not without content). Only
    /// connections of HTTP/1.1 pass it on.
    pub(crate) fn expects_continue(&self, parts: &Parts, client: Option<&ClientConnection>, body: &RequestBody) -> bool {
        parts.headers.contains_key(header::EXPECT)
            && !body.is_end_stream()
            && client.is_some_and(|client| client.version > Version::HTTP_10)
            && !self.options.config.h2c
            && self.options.config.host == HostPolicy::Preserve
    }

    /// Makes a received head into the client's.
    pub(crate) fn receive(&self, parts: &mut http::response::Parts) -> Result<(), UpstreamError> {
        let sent_before = parts.extensions.remove::<SentBefore>();
        parts.extensions = Extensions::new();
        sent_before.and_then(|sent_before| parts.extensions.insert(sent_before));
        forward::to_client(parts, || self.options.clock.now()).map_err(|error| UpstreamError::Protocol(error.into()))
    }

    /// Makes a received response into the client's. Its body keeps what the exchange has `held`.
    pub(crate) fn received(
        &self,
        response: Response<Source>,
        held: Held,
        gate: Option<Gate>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let (mut parts, body) = response.into_parts();
        self.receive(&mut parts)?;
        let held = if is_event_stream(&parts.headers) { held.for_events() } else { held };
        Ok(Response::from_parts(parts, UpstreamBody::new(body, held, gate)))
    }

    pub(crate) fn observe<T>(&self, started: std::time::Instant, result: &Result<Response<T>, UpstreamError>) {
        if result.as_ref().is_err_and(UpstreamError::is_refusal) {
            return;
        }
        if let Some(observer) = &self.options.observer {
            let outcome = match result {
                Ok(response) => OriginOutcome::Answered(response.status()),
                Err(error) => OriginOutcome::Failed(error.token()),
            };
            observer.answered(self.options.index, outcome, monotonic().saturating_duration_since(started));
        }
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let essence = |kind: &str| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"));
    headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(essence)
}
