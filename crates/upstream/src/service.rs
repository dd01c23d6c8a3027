//! The inner service of the cache.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Extensions, HeaderMap, Request, Response, StatusCode, Version, header};
use http_body::Body;
use larder_store::BreakerState;
use larder_tower::clock::monotonic;
use larder_tower::{Pooled, Pressure, RequestBody};

use super::body::{Held, UpstreamBody};
use super::connect::Connector;
use super::error::UpstreamError;
use super::expect::Gate;
use super::health::Health;
use super::http1::Malformed;
use super::interim::Interim;
use super::observe::UpstreamStats;
use super::options::{UpstreamOptions, UpstreamSetupError};
use super::places::{Full, Place, Places};
use super::progress::WatchedBody;
use super::send::Transport;
use super::url;

use larder_message::forward::{self, ForwardRules, Hop, HostPolicy};
use larder_message::{EarlyResponses, OriginOutcome};

/// Sends requests to one origin. Cheap to clone; clones share the pool.
///
/// A [`Requester`] in a request's extensions says where the request came from; without one it counts as Larder's own.
#[derive(Clone)]
pub struct UpstreamService(Arc<Inner>);

/// Who a request comes from. One extension for all of it: each costs an exchange several allocations.
#[derive(Clone, Debug)]
pub struct Requester {
    /// The connection.
    pub hop: Hop,
    /// Receives the origin's 1xx responses.
    pub early: Option<EarlyResponses>,
}

pub(super) struct Inner {
    pub(super) options: UpstreamOptions,
    pub(super) rules: ForwardRules,
    pub(super) connector: Connector,
    pub(super) stats: Arc<UpstreamStats>,
    pub(super) places: Places,
    pub(super) health: Health,
    transport: Transport,
}

impl UpstreamService {
    /// Sets up the pool; connects to nothing yet.
    ///
    /// # Errors
    /// [`UpstreamSetupError`] when certificate authorities cannot be loaded.
    pub fn new(options: UpstreamOptions) -> Result<Self, UpstreamSetupError> {
        let stats = Arc::<UpstreamStats>::default();
        let connector = Connector::new(&options, Arc::clone(&stats))?;
        let transport = Transport::new(&options, connector.clone());
        let rules =
            ForwardRules { trusted: options.trusted.clone(), host: options.config.host, upstream_host: url::host(&options.config.url) };
        let (places, health) = (Places::new(options.config.limit), Health::new(&options));
        Ok(Self(Arc::new(Inner { options, rules, connector, stats, places, health, transport })))
    }

    /// This upstream's counts.
    pub fn stats(&self) -> &Arc<UpstreamStats> {
        &self.0.stats
    }

    /// Where exchanges hear that others wait for their place.
    pub fn pressure(&self) -> &Pressure {
        self.0.places.pressure()
    }

    /// What its breaker lets through.
    pub fn breaker(&self) -> BreakerState {
        self.0.health.state()
    }

    /// Requests that got no place, since the start.
    pub fn refused_total(&self) -> u64 {
        self.0.places.refused()
    }

    /// Whether a path may lead out of the upstream's base path. Such a request must not be sent.
    pub fn leaves_base(&self, path: &str) -> bool {
        url::leaves_base(&self.0.options.config.url, path)
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Sends a request, which is brought into its form at once: what waits for the answer is small.
    fn exchange(&self, request: Request<RequestBody>) -> impl Future<Output = Result<Response<UpstreamBody>, UpstreamError>> + use<> {
        let service = self.clone();
        let inner = &*self.0;
        let place = inner.places.take();
        let (mut parts, body) = request.into_parts();
        let (hop, early) = parts.extensions.remove::<Requester>().map(|requester| (requester.hop, requester.early)).unzip();
        let gate = inner.expects_continue(&parts, hop.as_ref(), &body).then(Gate::default);
        let body = WatchedBody::new(body, &parts.headers, gate.clone());
        let progress = body.progress();
        let outgoing = inner.transport.outgoing(parts, body, hop.as_ref(), gate.is_some(), (&inner.options, &inner.rules));
        let interim = Interim { gate, early: early.flatten() };
        async move {
            let inner = &*service.0;
            let held = inner.admit(place).await?;
            let attempt = inner.health.attempt()?;
            let answer = outgoing.send(&interim, progress, inner).await.and_then(|response| match response.status() {
                StatusCode::SWITCHING_PROTOCOLS => Err(UpstreamError::Protocol(Malformed::Switched.into())),
                _ => Ok(response),
            });
            attempt.ended(&answer);
            let (mut parts, body) = answer?.into_parts();
            inner.receive(&mut parts)?;
            let held = if is_event_stream(&parts.headers) { held.for_events() } else { held };
            Ok(Response::from_parts(parts, UpstreamBody::new(body, held, interim.gate)))
        }
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let essence = |kind: &str| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"));
    headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(essence)
}

impl Inner {
    /// Waits for a place where none was free. An upstream that is left alone needs none.
    pub(super) async fn admit(&self, place: Option<Place>) -> Result<Held, UpstreamError> {
        self.health.check()?;
        let place = match place {
            Some(place) => place,
            None => Box::pin(self.places.wait()).await.map_err(|Full| {
                self.health.troubles.refused(self.options.config.limit.max_requests, monotonic());
                UpstreamError::Full { retry_after: self.places.retry_after() }
            })?,
        };
        Ok(Held { _place: Some(place), _in_flight: self.stats.begin_request() })
    }

    /// Whether the content waits for the origin's word (RFC 9110 §10.1.1: not for HTTP/1.0 clients, and not without content). hyper
    /// passes the word on from HTTP/1.1 connections only.
    fn expects_continue(&self, parts: &Parts, hop: Option<&Hop>, body: &RequestBody) -> bool {
        parts.headers.contains_key(header::EXPECT)
            && !body.is_end_stream()
            && hop.is_some_and(|hop| hop.version > Version::HTTP_10)
            && !self.options.config.h2c
            && self.options.config.host == HostPolicy::Preserve
    }

    /// Makes a received head into the client's.
    pub(super) fn receive(&self, parts: &mut http::response::Parts) -> Result<(), UpstreamError> {
        parts.extensions = Extensions::new();
        forward::to_client(parts, self.options.clock.now()).map_err(|error| UpstreamError::Protocol(error.into()))
    }

    pub(super) fn observe<T>(&self, started: std::time::Instant, result: &Result<Response<T>, UpstreamError>) {
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

impl tower_service::Service<Request<RequestBody>> for UpstreamService {
    type Response = Response<UpstreamBody>;
    type Error = UpstreamError;
    type Future = Pooled<Result<Response<UpstreamBody>, UpstreamError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let started = monotonic();
        let (service, exchange) = (self.clone(), self.exchange(request));
        Pooled::new(async move {
            let result = exchange.await;
            service.0.observe(started, &result);
            result
        })
    }
}

impl fmt::Debug for UpstreamService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamService").field("url", &self.0.options.config.url).field("stats", &self.0.stats).finish()
    }
}
