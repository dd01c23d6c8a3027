//! One exchange with an origin, and how long it may take.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;
use http::uri::Authority;
use http::{Extensions, HeaderValue, Method, Request, Response, Uri, header};
use hyper::body::Body;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, Connected, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use larder_config::{Upstream, UpstreamUrl};
use larder_tower::BoxError;
use larder_tower::clock::timer_now;
use tokio::time::Instant;

use super::body::Source;
use super::deadline::within;
use super::failure::classify;
use crate::connect::{ConnectionMark, Connector};
use crate::error::UpstreamError;
use crate::http1::{HeadWriter, Late, Pool, Upload};
use crate::http2::{Assigned, CONNECTION_WINDOW, Http2, OpenStream, STREAM_WINDOW, Slot, Streams, USUAL_STREAMS, may_repeat};
use crate::observe::UpstreamStats;
use crate::request::content::{BodyFailure, Progress, WatchedBody};
use crate::request::expect::with_continue_timeout;
use crate::request::interim::InterimSink;
use crate::request::pace::HeadTimeout;
use crate::url;
use larder_message::client::ClientConnection;
use larder_message::forward::{self, ForwardRules, HostPolicy};

/// How requests reach an origin.
pub(crate) enum Transport {
    /// Over HTTP/1.1.
    Http1(Pool),
    /// Over HTTP/2 without negotiation.
    Http2(Http2),
    /// Over what the TLS handshake negotiates.
    Negotiated(Arc<GeneralClients>),
}

/// The general client keeps its connections to itself: the one way to make it use a new one is to have another without any.
pub(crate) struct GeneralClients {
    builder: legacy::Builder,
    connector: Connector,
    /// Each keeps one connection of HTTP/2, or any number of HTTP/1.1. A request takes the first one with a stream for it.
    pooled: Mutex<Vec<Arc<PooledClient>>>,
    fresh: GeneralClient,
}

struct PooledClient {
    client: GeneralClient,
    streams: Streams,
}

type GeneralClient = legacy::Client<Connector, WatchedBody>;

impl GeneralClients {
    fn new(settings: &Upstream, connector: Connector) -> Self {
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(settings.idle_timeout)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .set_host(false);
        let fresh = builder.pool_max_idle_per_host(0).build(connector.clone());
        builder.pool_max_idle_per_host(settings.max_idle);
        Self { builder, connector, pooled: Mutex::default(), fresh }
    }

    /// What an origin allows on a connection is known to the client alone, so each gets as many streams as every origin should allow.
    fn assign(&self) -> (Arc<PooledClient>, OpenStream) {
        let mut pooled = self.pooled.lock().unwrap_or_else(PoisonError::into_inner);
        let free = pooled.iter().find(|client| client.streams.count() < USUAL_STREAMS).map(Arc::clone);
        let client = free.unwrap_or_else(|| {
            let client = Arc::new(PooledClient { client: self.builder.build(self.connector.clone()), streams: Streams::default() });
            pooled.push(Arc::clone(&client));
            client
        });
        let stream = client.streams.begin();
        (client, stream)
    }
}

/// A request as it goes out.
pub(crate) enum Outgoing {
    Http1 { pool: Pool, method: Method, upload: Upload, fresh: bool },
    Http2 { client: Http2, request: Box<Request<WatchedBody>>, assigned: Option<Assigned> },
    Negotiated { clients: Arc<GeneralClients>, request: Box<Request<WatchedBody>>, fresh: bool },
}

impl Transport {
    pub(crate) fn new(url: &UpstreamUrl, settings: &Upstream, connector: Connector) -> Self {
        if settings.h2c {
            return Self::Http2(Http2::new(connector, url::base(url), settings.idle_timeout));
        }
        if !url.is_https() || settings.host == HostPolicy::Preserve {
            return Self::Http1(Pool::new(connector, url::base(url), settings.max_idle, settings.idle_timeout));
        }
        Self::Negotiated(Arc::new(GeneralClients::new(settings, connector)))
    }

    /// A received request as it goes to the origin. With `expect`, its content waits for a `100 (Continue)`.
    pub(crate) fn outgoing(
        &self,
        parts: Parts,
        body: WatchedBody,
        client: Option<&ClientConnection>,
        expect: bool,
        (url, rules): (&UpstreamUrl, &ForwardRules),
    ) -> Outgoing {
        let expectation = expect.then_some(HeaderValue::from_static("100-continue"));
        match self {
            Self::Http1(pool) => {
                let target = url::origin_form(url, &parts.uri);
                let mut head = HeadWriter::new(&parts.method, target.path_and_query().map_or("/", |target| target.as_str()));
                forward::upstream_fields(&parts, client, rules, |name, value| head.field(name, value));
                if let Some(expectation) = expectation {
                    head.field(&header::EXPECT, expectation.as_bytes());
                }
                let upload = Upload::new(head, &parts.headers, body);
                Outgoing::Http1 { pool: pool.clone(), method: parts.method, upload, fresh: false }
            }
            Self::Http2(http2) => {
                let request = general_request(parts, body, client, expectation, (url, rules));
                Outgoing::Http2 { client: http2.clone(), request: Box::new(under_its_name(request)), assigned: None }
            }
            Self::Negotiated(clients) => {
                let request = general_request(parts, body, client, expectation, (url, rules));
                Outgoing::Negotiated { clients: Arc::clone(clients), request: Box::new(request), fresh: false }
            }
        }
    }
}

/// A received request as hyper takes it.
fn general_request(
    mut parts: Parts,
    body: WatchedBody,
    client: Option<&ClientConnection>,
    expectation: Option<HeaderValue>,
    (url, rules): (&UpstreamUrl, &ForwardRules),
) -> Request<WatchedBody> {
    forward::to_upstream(&mut parts, client, rules);
    // hyper would act on extensions of the client's connection.
    parts.extensions = Extensions::new();
    parts.uri = url::resolve(url, &parts.uri);
    parts.headers.extend(expectation.map(|expectation| (header::EXPECT, expectation)));
    Request::from_parts(parts, body)
}

/// The name that the origin is to see becomes `:authority`, and a differing `Host` beside it would be malformed (RFC 9113 §8.3.1).
fn under_its_name(mut request: Request<WatchedBody>) -> Request<WatchedBody> {
    let shown = request.headers_mut().remove(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut uri = request.uri().clone().into_parts();
    if let Some(shown) = shown.filter(|shown| !shown.as_str().contains('@')) {
        uri.authority = Some(shown);
        if let Ok(named) = Uri::from_parts(uri) {
            *request.uri_mut() = named;
        }
    }
    request
}

impl Outgoing {
    /// The same on a connection that was not used before. A connection of HTTP/2 without TLS is replaced when it fails, so it stays.
    pub(crate) fn on_fresh_connection(mut self) -> Self {
        match &mut self {
            Self::Http1 { fresh, .. } | Self::Negotiated { fresh, .. } => *fresh = true,
            Self::Http2 { .. } => {}
        }
        self
    }

    /// `deadline` is for connections of the pool, which keep it by themselves.
    async fn answer(self, interim: &InterimSink, stats: &UpstreamStats, deadline: Option<Instant>) -> Result<Response<Source>, BoxError> {
        match self {
            Self::Http1 { pool, method, upload, fresh } => {
                Ok(pool.request(&method, upload, fresh, (interim, stats), deadline).await?.map(Source::Pooled))
            }
            Self::Http2 { client, request, assigned } => {
                let (request, spare) = with_spare(*request, interim.clone());
                let assigned = assigned.unwrap_or_else(|| client.assign());
                let (response, stream) = Box::pin(client.request(request, spare, (assigned, stats))).await?;
                Ok(Source::of(response, Some(stream)))
            }
            Self::Negotiated { clients, request, fresh: false } => Box::pin(negotiated(&clients, *request, interim.clone(), stats)).await,
            Self::Negotiated { clients, request, fresh: true } => {
                let (request, _) = with_spare(*request, interim.clone());
                Ok(Source::of(Box::pin(clients.fresh.request(request)).await?, None))
            }
        }
    }

    /// Sends the request and waits for the response head. `progress` is that of its content, if it has any.
    pub(crate) async fn send(
        mut self,
        interim: &InterimSink,
        progress: Option<Arc<Progress>>,
        (timeout, stats): (HeadTimeout, &UpstreamStats),
    ) -> Result<Response<Source>, UpstreamError> {
        let shared = match &mut self {
            Self::Http2 { client, assigned, .. } => {
                let slot = assigned.get_or_insert_with(|| client.assign()).slot();
                Some(Shared::Own(client.clone(), slot))
            }
            Self::Negotiated { request, .. } => Some(Shared::General(capture_connection(request))),
            Self::Http1 { .. } => None,
        };
        if let Self::Http1 { upload, .. } = &mut self {
            upload.keep_to(timeout);
        }
        // Content moves the deadline while it is sent.
        let is_fixed = matches!(self, Self::Http1 { .. }) && progress.is_none() && interim.gate.is_none();
        let deadline = if is_fixed { timer_now().checked_add(timeout.timeout) } else { None };
        // Pinned here and polled through references: handed on, it would be copied, and take its room again, at every step.
        let exchange = pin!(self.answer(interim, stats, deadline));
        let answer = match &interim.gate {
            None if deadline.is_some() => match exchange.await {
                Err(error) if error.is::<Late>() => Err(UpstreamError::FirstByteTimeout),
                answer => Ok(answer),
            },
            None => within(timeout, progress.as_deref(), exchange).await,
            Some(gate) => within(timeout, progress.as_deref(), Box::pin(with_continue_timeout(gate, exchange)).as_mut()).await,
        };
        if let (Err(UpstreamError::FirstByteTimeout), Some(shared)) = (&answer, shared) {
            shared.doubt();
        }
        answer?.map_err(|error| match progress.and_then(|progress| progress.failure()) {
            Some(BodyFailure::TooLarge) => UpstreamError::RequestTooLarge,
            Some(BodyFailure::Broken) => UpstreamError::RequestBody(error),
            None => classify(error),
        })
    }
}

/// What other requests may share with this one: a connection of HTTP/2.
enum Shared {
    Own(Http2, Arc<Slot>),
    General(CaptureConnection),
}

impl Shared {
    /// As [`Http2::doubt`].
    fn doubt(self) {
        match self {
            Self::Own(client, slot) => client.doubt(&slot),
            Self::General(captured) => {
                if let Some(connected) = captured.connection_metadata().as_ref()
                    && mark_of(connected).is_some_and(|mark| mark.is_silent())
                {
                    connected.poison();
                }
            }
        }
    }
}

fn mark_of(connected: &Connected) -> Option<ConnectionMark> {
    let mut extensions = Extensions::new();
    connected.get_extras(&mut extensions);
    extensions.remove()
}

/// The general client's exchange, with the same retry as [`Pool::request`].
async fn negotiated(
    clients: &GeneralClients,
    request: Request<WatchedBody>,
    interim: InterimSink,
    stats: &UpstreamStats,
) -> Result<Response<Source>, BoxError> {
    let (request, spare) = with_spare(request, interim);
    let (pooled, stream) = clients.assign();
    let mut stream = Some(stream);
    let mut answer = pooled.client.request(request).await;
    if let (Err(error), Some(spare)) = (&answer, spare)
        && may_be_repeated(error)
    {
        stats.retried();
        stream = None;
        answer = clients.fresh.request(spare).await;
    }
    let mut response = answer?;
    if let Some(mark) = response.extensions_mut().remove::<ConnectionMark>() {
        mark.answered();
    }
    Ok(Source::of(response, stream))
}

/// A request whose interim responses are received, and the same once more where it may be sent twice.
fn with_spare(mut request: Request<WatchedBody>, interim: InterimSink) -> (Request<WatchedBody>, Option<Request<WatchedBody>>) {
    let repeats = request.method().is_safe() && request.body().is_end_stream();
    if interim.is_used() {
        hyper::ext::on_informational(&mut request, move |response| interim.receive(response.status(), response.headers()));
    }
    let spare = repeats.then(|| {
        let mut spare = Request::new(WatchedBody::empty());
        (*spare.method_mut(), *spare.uri_mut()) = (request.method().clone(), request.uri().clone());
        *spare.headers_mut() = request.headers().clone();
        *spare.extensions_mut() = request.extensions().clone();
        spare
    });
    (request, spare)
}

fn may_be_repeated(error: &legacy::Error) -> bool {
    error.connect_info().and_then(mark_of).is_some_and(|mark| may_repeat(error, &mark))
}
