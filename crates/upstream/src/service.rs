//! The inner service of the cache: the policy of one upstream over its endpoints.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use http::{Extensions, HeaderMap, Request, Response, StatusCode, Version, header};
use http_body::Body;
use larder_store::BreakerState;
use larder_tower::clock::monotonic;
use larder_tower::{Pooled, Pressure, RequestBody};

use crate::endpoint::Endpoint;
use crate::error::UpstreamError;
use crate::exchange::body::{Held, UpstreamBody};
use crate::exchange::deadline::HeadTimeout;
use crate::http1::Malformed;
use crate::observe::UpstreamStats;
use crate::options::{UpstreamOptions, UpstreamSetupError};
use crate::protect::concurrency::{ConcurrencyLimit, Permit};
use crate::request::content::WatchedBody;
use crate::request::expect::Gate;
use crate::request::interim::InterimSink;
use crate::url;

use larder_message::client::ClientConnection;
use larder_message::forward::{self, HostPolicy};
use larder_message::{InterimResponses, OriginOutcome};

/// Sends requests to one origin. Cheap to clone; clones share the pool.
///
/// A [`ClientContext`] in a request's extensions says where the request came from; without one it counts as Larder's own.
#[derive(Clone)]
pub struct UpstreamService(Arc<Upstream>);

/// The client's side of a request. One extension holds all of it, because each costs an exchange several allocations.
#[derive(Clone, Debug)]
pub struct ClientContext {
    /// The connection that it came over.
    pub connection: ClientConnection,
    /// Receives the origin's interim responses.
    pub interim: Option<InterimResponses>,
}

/// The policy over the endpoints of one upstream: how many exchanges there are at a time, which endpoint has the next one, and what
/// observers are told.
pub(crate) struct Upstream {
    pub(crate) options: UpstreamOptions,
    pub(crate) stats: Arc<UpstreamStats>,
    pub(crate) concurrency: ConcurrencyLimit,
    endpoint: Arc<Endpoint>,
}

impl UpstreamService {
    /// Sets up the pool; connects to nothing yet.
    ///
    /// # Errors
    /// [`UpstreamSetupError`] when certificate authorities cannot be loaded.
    pub fn new(options: UpstreamOptions) -> Result<Self, UpstreamSetupError> {
        let stats = Arc::<UpstreamStats>::default();
        let endpoint = Arc::new(Endpoint::new(&options.config.url, &options, &stats)?);
        let concurrency = ConcurrencyLimit::new(Arc::clone(&options.config.name), options.config.limit);
        Ok(Self(Arc::new(Upstream { options, stats, concurrency, endpoint })))
    }

    /// This upstream's counts.
    pub fn stats(&self) -> &Arc<UpstreamStats> {
        &self.0.stats
    }

    /// Tells running exchanges that others wait for their permit.
    pub fn pressure(&self) -> &Pressure {
        self.0.concurrency.pressure()
    }

    /// The state of its breaker.
    pub fn breaker(&self) -> BreakerState {
        self.0.endpoint.health.state()
    }

    /// Requests that were refused since the start.
    pub fn refused_total(&self) -> u64 {
        self.0.concurrency.refused()
    }

    /// Whether a path may lead out of the upstream's base path. Such a request must not be sent.
    pub fn leaves_base(&self, path: &str) -> bool {
        url::leaves_base(&self.0.endpoint.url, path)
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.0
    }

    /// Sends a request whose answer has to begin within `first_byte_timeout`, or in the time that the upstream's section says.
    pub fn ask(
        &self,
        request: Request<RequestBody>,
        first_byte_timeout: Option<Duration>,
    ) -> Pooled<Result<Response<UpstreamBody>, UpstreamError>> {
        let started = monotonic();
        let (service, exchange) = (self.clone(), self.exchange(request, first_byte_timeout));
        Pooled::new(async move {
            let result = exchange.await;
            service.0.observe(started, &result);
            result
        })
    }

    /// Sends a request. It is written before the first await, so that the future stays small.
    fn exchange(
        &self,
        request: Request<RequestBody>,
        first_byte_timeout: Option<Duration>,
    ) -> impl Future<Output = Result<Response<UpstreamBody>, UpstreamError>> + use<> {
        let service = self.clone();
        let upstream = &*self.0;
        let permit = upstream.concurrency.try_acquire();
        let endpoint = upstream.pick();
        let (mut parts, body) = request.into_parts();
        let (client, interim) = parts.extensions.remove::<ClientContext>().map(|context| (context.connection, context.interim)).unzip();
        let gate = upstream.expects_continue(&parts, client.as_ref(), &body).then(Gate::default);
        let body = WatchedBody::new(body, &parts.headers, gate.clone());
        let progress = body.progress();
        let outgoing = endpoint.outgoing(parts, body, client.as_ref(), gate.is_some());
        let interim = InterimSink { gate, client: interim.flatten() };
        async move {
            let upstream = &*service.0;
            let held = upstream.admit(&endpoint, permit).await?;
            let attempt = endpoint.health.attempt()?;
            let answer = outgoing.send(&interim, progress, (upstream.head_timeout(first_byte_timeout), &upstream.stats)).await.and_then(
                |response| match response.status() {
                    StatusCode::SWITCHING_PROTOCOLS => Err(UpstreamError::Protocol(Malformed::Switched.into())),
                    _ => Ok(response),
                },
            );
            attempt.ended(&answer);
            let (mut parts, body) = answer?.into_parts();
            upstream.receive(&mut parts)?;
            let held = if is_event_stream(&parts.headers) { held.for_events() } else { held };
            Ok(Response::from_parts(parts, UpstreamBody::new(body, held, interim.gate)))
        }
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let essence = |kind: &str| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"));
    headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(essence)
}

impl Upstream {
    /// The endpoint that has the next exchange. There is one; a balancer over several chooses here.
    pub(crate) fn pick(&self) -> Arc<Endpoint> {
        Arc::clone(&self.endpoint)
    }

    /// Waits for a permit where none was free. While the endpoint's breaker is open, the request is refused instead.
    pub(crate) async fn admit(&self, endpoint: &Endpoint, permit: Option<Permit>) -> Result<Held, UpstreamError> {
        endpoint.health.check()?;
        let permit = match permit {
            Some(permit) => permit,
            None => Box::pin(self.concurrency.acquire()).await?,
        };
        Ok(Held { _permit: Some(permit), _in_flight: self.stats.begin_request() })
    }

    fn head_timeout(&self, said: Option<Duration>) -> HeadTimeout {
        HeadTimeout { timeout: said.unwrap_or(self.options.config.first_byte_timeout), min_rate: self.options.min_upload_rate }
    }

    /// Whether the content waits for a `100 (Continue)` (RFC 9110 §10.1.1: not for HTTP/1.0 clients, and not without content). Only
    /// connections of HTTP/1.1 pass it on.
    fn expects_continue(&self, parts: &Parts, client: Option<&ClientConnection>, body: &RequestBody) -> bool {
        parts.headers.contains_key(header::EXPECT)
            && !body.is_end_stream()
            && client.is_some_and(|client| client.version > Version::HTTP_10)
            && !self.options.config.h2c
            && self.options.config.host == HostPolicy::Preserve
    }

    /// Makes a received head into the client's.
    pub(crate) fn receive(&self, parts: &mut http::response::Parts) -> Result<(), UpstreamError> {
        parts.extensions = Extensions::new();
        forward::to_client(parts, self.options.clock.now()).map_err(|error| UpstreamError::Protocol(error.into()))
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

impl tower_service::Service<Request<RequestBody>> for UpstreamService {
    type Response = Response<UpstreamBody>;
    type Error = UpstreamError;
    type Future = Pooled<Result<Response<UpstreamBody>, UpstreamError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        self.ask(request, None)
    }
}

impl fmt::Debug for UpstreamService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamService").field("url", &self.0.endpoint.url).field("stats", &self.0.stats).finish()
    }
}
