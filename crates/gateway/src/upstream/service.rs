//! The inner service of the cache.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Extensions, Request, Response, StatusCode, Version, header};
use http_body::Body;
use larder_tower::clock::monotonic;
use larder_tower::{Pooled, RequestBody};

use super::body::UpstreamBody;
use super::connect::Connector;
use super::error::UpstreamError;
use super::expect::Gate;
use super::http1::Malformed;
use super::interim::Interim;
use super::observe::{OriginOutcome, UpstreamStats};
use super::options::{UpstreamOptions, UpstreamSetupError};
use super::progress::WatchedBody;
use super::send::Transport;

use crate::forward::{self, ForwardRules, Hop, HostPolicy};
use crate::server::EarlyResponses;

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
        let rules = ForwardRules { trusted: options.trusted.clone(), host: options.host, upstream_host: options.url.host() };
        Ok(Self(Arc::new(Inner { options, rules, connector, stats, transport })))
    }

    /// This upstream's counts.
    pub fn stats(&self) -> &Arc<UpstreamStats> {
        &self.0.stats
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Sends a request, which is brought into its form at once: what waits for the answer is small.
    fn exchange(&self, request: Request<RequestBody>) -> impl Future<Output = Result<Response<UpstreamBody>, UpstreamError>> + use<> {
        let service = self.clone();
        let inner = &*self.0;
        let in_flight = inner.stats.begin_request();
        let (mut parts, body) = request.into_parts();
        let (hop, early) = parts.extensions.remove::<Requester>().map(|requester| (requester.hop, requester.early)).unzip();
        let gate = inner.expects_continue(&parts, hop.as_ref(), &body).then(Gate::default);
        let body = WatchedBody::new(body, gate.clone());
        let progress = body.progress();
        let outgoing = inner.transport.outgoing(parts, body, hop.as_ref(), gate.is_some(), (&inner.options, &inner.rules));
        let interim = Interim { gate, early: early.flatten() };
        async move {
            let inner = &*service.0;
            let response = outgoing.send(&interim, progress, &inner.stats, inner.options.first_byte_timeout).await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Err(UpstreamError::Protocol(Malformed::Switched.into()));
            }
            let (mut parts, body) = response.into_parts();
            inner.receive(&mut parts)?;
            Ok(Response::from_parts(parts, UpstreamBody::new(body, in_flight, interim.gate)))
        }
    }
}

impl Inner {
    /// Whether the content waits for the origin's word (RFC 9110 §10.1.1: not for HTTP/1.0 clients, and not without content). hyper
    /// passes the word on from HTTP/1.1 connections only.
    fn expects_continue(&self, parts: &Parts, hop: Option<&Hop>, body: &RequestBody) -> bool {
        parts.headers.contains_key(header::EXPECT)
            && !body.is_end_stream()
            && hop.is_some_and(|hop| hop.version > Version::HTTP_10)
            && !self.options.h2c
            && self.options.host == HostPolicy::Preserve
    }

    /// Makes a received head into the client's.
    pub(super) fn receive(&self, parts: &mut http::response::Parts) -> Result<(), UpstreamError> {
        parts.extensions = Extensions::new();
        forward::to_client(parts, self.options.clock.now()).map_err(|error| UpstreamError::Protocol(error.into()))
    }

    pub(super) fn observe<T>(&self, started: std::time::Instant, result: &Result<Response<T>, UpstreamError>) {
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
        f.debug_struct("UpstreamService").field("url", &self.0.options.url).field("stats", &self.0.stats).finish()
    }
}
