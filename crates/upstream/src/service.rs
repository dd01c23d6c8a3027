//! The inner service of the cache: the policy of one upstream over its endpoints.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use larder_store::BreakerState;
use larder_tower::clock::{monotonic, timer_now};
use larder_tower::{HeldBack, Pooled, Pressure, RequestBody, WholeBody};

use crate::checking::keep_checking;
use crate::error::UpstreamError;
use crate::exchange::body::{Held, Source, UpstreamBody};
use crate::observe::{ExchangeObserver, UpstreamStats};
use crate::options::{UpstreamOptions, UpstreamSetupError};
use crate::protect::learnt::LimitedKey;
use crate::request::content::WatchedBody;
use crate::request::expect::Gate;
use crate::request::interim::InterimSink;
use crate::resolve::keep_resolving;
use crate::retry::again::{again, observed};
use crate::retry::spare::Spare;
use crate::server_state::ServerState;
use crate::stand_in::StandIn;
use crate::upstream::Upstream;
use crate::url;

use larder_message::InterimResponses;
use larder_message::client::ClientConnection;

/// Sends requests to the servers of one upstream. Cheap to clone; clones share the pools.
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
    /// Bytes a second that the client has to send of its content on average, after a while; 0: any number.
    pub min_upload_rate: u64,
    /// Is told of the exchange, where anybody wants to know.
    pub observer: Option<Arc<dyn ExchangeObserver>>,
}

impl UpstreamService {
    /// Sets up the pools; connects to nothing yet.
    ///
    /// # Errors
    /// [`UpstreamSetupError`] when certificate authorities cannot be loaded.
    pub fn new(options: UpstreamOptions) -> Result<Self, UpstreamSetupError> {
        let service = Self(Arc::new(Upstream::new(options, None)?));
        service.take_place();
        Ok(service)
    }

    /// The upstream with other options. Servers that stay keep their connections, their figures and what is known of them. Until
    /// [`Self::take_place`] it does nothing in the background, and this one goes on.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn reconfigured(&self, options: UpstreamOptions) -> Result<Self, UpstreamSetupError> {
        Ok(Self(Arc::new(Upstream::new(options, Some(&self.0))?)))
    }

    /// Begins its background tasks, in place of those that it was made from; once, however often it is called. They need a runtime where there
    /// are any.
    pub fn take_place(&self) {
        let upstream = &self.0;
        upstream.begun.call_once(|| {
            upstream.take_place();
            if upstream.options.stand_in.is_some() {
                return;
            }
            if upstream.options.config.health.is_some() {
                tokio::spawn(keep_checking(Arc::downgrade(upstream)));
            }
            if let Some(resolve) = upstream.options.config.resolve {
                tokio::spawn(keep_resolving(Arc::downgrade(upstream), resolve));
            }
        });
    }

    /// Ends its background tasks, where no other takes its place. Exchanges under way go on.
    pub fn retire(&self) {
        self.0.retire();
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
        self.0.health.state()
    }

    /// Requests that were refused since the start.
    pub fn refused_total(&self) -> u64 {
        self.0.concurrency.refused()
    }

    /// Requests that were held back since the start, because it had said that it takes no more.
    pub fn held_total(&self) -> u64 {
        self.0.learnt.as_ref().map_or(0, |learnt| learnt.held())
    }

    /// How its servers stand, in the order of the configuration.
    pub fn servers(&self) -> Vec<ServerState> {
        self.0.servers.load().all().iter().map(|server| ServerState::of(server)).collect()
    }

    /// Whether a path may lead out of the base path of a server. Such a request must not be sent.
    pub fn leaves_base(&self, path: &str) -> bool {
        self.0.options.config.servers.iter().any(|server| url::leaves_base(&server.url, path))
    }

    pub(crate) fn upstream(&self) -> &Arc<Upstream> {
        &self.0
    }

    /// Sends a request of `client`, or of the [`ClientContext`] in its extensions. Its answer has to begin within `first_byte_timeout`, or in the time
    /// that the upstream's section says, and its body becomes what `into_body` makes of it.
    ///
    /// The request is written before the first await, so that the future stays small.
    pub fn ask<B: 'static>(
        &self,
        request: Request<RequestBody>,
        client: Option<ClientContext>,
        first_byte_timeout: Option<Duration>,
        into_body: fn(UpstreamBody) -> B,
    ) -> Pooled<Result<Response<B>, UpstreamError>> {
        let mut started = monotonic();
        let service = self.clone();
        if let Some(stand_in) = self.0.options.stand_in.clone() {
            return Pooled::new(async move { Ok(ask(&service.0, &*stand_in, request).await?.map(into_body)) });
        }
        let upstream = &*self.0;
        let permit = upstream.concurrency.try_acquire();
        let (mut parts, body) = request.into_parts();
        let context = client.or_else(|| parts.extensions.remove::<ClientContext>());
        let min_rate = context.as_ref().map_or(0, |context| context.min_upload_rate);
        let observer = context.as_ref().and_then(|context| context.observer.clone());
        if let Some(observer) = &observer {
            observer.begins(&mut parts.headers);
        }
        let (client, interim) = context.map(|context| (context.connection, context.interim)).unzip();
        let limited = upstream.learnt.as_ref().map(|_| LimitedKey::of(&parts.headers));
        let server = upstream.pick(&parts, client.as_ref(), &[]);
        let gate = upstream.expects_continue(&parts, client.as_ref(), &body).then(Gate::default);
        let mut body = WatchedBody::of(body, &parts, gate.clone());
        let progress = body.progress();
        let may_retry = upstream.options.config.retry.is_some();
        let spare = may_retry.then(|| Box::new(Spare::of(&parts, client, &mut body, gate.clone())));
        let outgoing = server.outgoing(parts, body, client.as_ref(), gate.is_some());
        let interim = InterimSink { gate, client: interim.flatten() };
        Pooled::new(async move {
            let upstream = &*service.0;
            // A block and no future of its own: that would be moved with all it holds.
            let result = 'exchange: {
                let learnt = upstream.learnt.as_deref().zip(limited.as_ref());
                if let Some(Err(error)) = learnt.map(|(learnt, key)| learnt.check(key)) {
                    break 'exchange Err(error);
                }
                let waits = permit.is_none().then(timer_now);
                let mut held = match upstream.admit(&server, permit).await {
                    Ok(held) => held,
                    Err(error) => break 'exchange Err(error),
                };
                let held_back = waits.map(|since| HeldBack(since.elapsed()));
                if held_back.is_some() {
                    // The wait for a place is not the origin's time.
                    started = monotonic();
                }
                let attempt = match upstream.health.attempt() {
                    Ok(attempt) => attempt,
                    Err(error) => break 'exchange Err(error),
                };
                let timeout = upstream.head_timeout(first_byte_timeout, min_rate);
                let answer = match observer.as_deref() {
                    // Another one is asked, as if this one had refused to connect.
                    _ if held_back.is_some() && spare.is_some() && upstream.has_better_than(&server) => {
                        drop(outgoing);
                        Err(UpstreamError::Unavailable("it went out of service while the request waited".into()))
                    }
                    None => upstream.ask(&server, outgoing, (&interim, progress), timeout).await,
                    Some(observer) => {
                        let asking = upstream.ask(&server, outgoing, (&interim, progress), timeout);
                        Box::pin(observed(observer, (&server, 0), asking)).await
                    }
                };
                let answer = match (spare, &upstream.options.config.retry) {
                    (Some(spare), Some(retry)) => {
                        let (first, observer) = ((server, answer), observer.as_deref());
                        Box::pin(again(upstream, (retry, *spare), first, &mut held, (&interim, timeout), observer)).await
                    }
                    _ => answer,
                };
                attempt.ended(&answer);
                if let (Some((learnt, key)), Ok(response)) = (learnt, &answer) {
                    learnt.learn(key, response.status(), response.headers(), upstream.options.clock.now());
                }
                answer.and_then(|response| upstream.received(response, held, interim.gate)).map(|mut response| {
                    held_back.and_then(|held_back| response.extensions_mut().insert(held_back));
                    response
                })
            };
            upstream.observe(started, &result);
            result.map(|response| response.map(into_body))
        })
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
        self.ask(request, None, None, |body| body)
    }
}

impl fmt::Debug for UpstreamService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamService").field("servers", &self.0.options.config.servers).field("stats", &self.0.stats).finish()
    }
}

/// Asks what stands in for the servers, and makes its answer into one that has come from a server.
async fn ask(upstream: &Upstream, stand_in: &dyn StandIn, request: Request<RequestBody>) -> Result<Response<UpstreamBody>, UpstreamError> {
    let (parts, body) = request.into_parts();
    let content = body.collect().await.map_err(UpstreamError::RequestBody)?.to_bytes();
    let mut answer = stand_in.answer(upstream.options.index, parts, content)?;
    let whole = answer.extensions_mut().remove::<WholeBody>();
    let held = Held { _permit: None, _in_flight: upstream.stats.begin_request() };
    let mut received = upstream.received(answer.map(|body| Source::Played(Full::new(body))), held, None)?;
    // Extensions of an answer are nothing that an origin sends; this one is its body.
    whole.and_then(|whole| received.extensions_mut().insert(whole));
    Ok(received)
}
