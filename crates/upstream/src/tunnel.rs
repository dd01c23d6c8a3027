//! Upgrades (RFC 9110 §7.8), WebSocket above all: past the cache, on a connection of their own, and after `101` a tunnel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use larder_tower::clock::{monotonic, timer_now};
use larder_tower::{ClientBody, RequestBody};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::InspectReader;
use tower_service::Service;

use crate::UpstreamService;
use crate::balance::server::Server;
use crate::balance::standing::Began;
use crate::connect::UpstreamStream;
use crate::error::UpstreamError;
use crate::exchange::body::{Held, Source, UpstreamBody};
use crate::exchange::deadline::within as within_pace;
use crate::exchange::failure::classify;
use crate::observe::{ExchangeObserver, ExchangeReport, InFlight};
use crate::protect::learnt::LimitedKey;
use crate::request::content::WatchedBody;
use crate::request::pace::HeadTimeout;
use crate::upstream::Upstream;
use crate::url;
use larder_message::client::ClientConnection;
use larder_message::forward;

/// The client's side of a tunnel.
#[derive(Clone)]
pub struct TunnelClient {
    /// The facts about its connection.
    pub connection: ClientConnection,
    /// How long the tunnel may be quiet.
    pub idle: Duration,
    /// How long the origin may take to answer; `None`: as long as its section says.
    pub first_byte_timeout: Option<Duration>,
    /// Dropped when the tunnel has ended, with every clone of this: the connection counts as open until then.
    pub guard: Arc<dyn Send + Sync>,
    /// Is told of the exchange, where anybody wants to know.
    pub observer: Option<Arc<dyn ExchangeObserver>>,
}

impl TunnelClient {
    fn begins(&self, fields: &mut HeaderMap) {
        self.observer.iter().for_each(|observer| observer.begins(fields));
    }

    fn ended(&self, attempt: &Attempt, connect: Option<(Instant, Instant)>, outcome: Result<StatusCode, &UpstreamError>) {
        let (server, outcome) = (&attempt.server.standing.label, outcome.map_err(UpstreamError::token));
        let report = ExchangeReport { server, resends: attempt.resends, times: (attempt.started, monotonic()), connect, outcome };
        self.observer.iter().for_each(|observer| observer.ended(&report));
    }
}

impl UpstreamService {
    /// Passes on a request for which [`is_upgrade`](larder_semantics::fields::is_upgrade) holds. If the origin switches protocols, both connections are joined once
    /// the response has been given to the client, and the end of either ends the other. Otherwise its response is passed on like any.
    ///
    /// # Errors
    /// As for an ordinary exchange.
    pub async fn upgrade(&self, request: Request<impl ClientBody>, client: TunnelClient) -> Result<Response<UpstreamBody>, UpstreamError> {
        let mut started = monotonic();
        let result = self.admitted(request, client, &mut started).await;
        self.upstream().observe(started, &result);
        result
    }

    /// `started` becomes the time of its admission.
    async fn admitted(
        &self,
        request: Request<impl ClientBody>,
        client: TunnelClient,
        started: &mut Instant,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let upstream = self.upstream();
        let (parts, body) = request.into_parts();
        let learnt = upstream.learnt.as_deref().map(|learnt| (learnt, LimitedKey::of(&parts.headers)));
        learnt.as_ref().map_or(Ok(()), |(learnt, key)| learnt.check(key))?;
        let server = upstream.pick(&parts, Some(&client.connection), &[]);
        let held = upstream.admit(&server, upstream.concurrency.try_acquire()).await?;
        *started = monotonic();
        let attempt = upstream.health.attempt()?;
        let request = Request::from_parts(parts, body);
        let timeout = client.first_byte_timeout.unwrap_or(upstream.options.config.first_byte_timeout);
        let result = self.switch(server, request, (client, timeout), held).await;
        attempt.ended(&result);
        if let (Some((learnt, key)), Ok(response)) = (&learnt, &result) {
            learnt.learn(key, response.status(), response.headers(), upstream.options.clock.now());
        }
        result
    }

    async fn switch(
        &self,
        server: Arc<Server>,
        mut request: Request<impl ClientBody>,
        (tunnel, timeout): (TunnelClient, Duration),
        mut held: Held,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let upstream = self.upstream();
        let deadline = timer_now().checked_add(timeout);
        let client = hyper::upgrade::on(&mut request);
        let protocol = request.headers().get(header::UPGRADE).cloned();
        let (mut parts, body) = request.into_parts();
        let Connected { attempt, stream, connected } = upstream.connect(server, &mut parts, (&tunnel, deadline), &mut held).await?;
        let server = &attempt.server;
        let body = WatchedBody::of(RequestBody::new(body), &parts, None);
        forward::to_upstream(&mut parts, Some(&tunnel.connection), &server.rules);
        parts.extensions = Extensions::new();
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = protocol {
            parts.headers.insert(header::UPGRADE, protocol);
        }
        // On a connection of its own there is no proxy between, so the target is in origin-form (RFC 9112 §3.2.1).
        parts.uri = url::origin_form(&server.endpoint.url, &parts.uri);
        let progress = body.progress();
        let exchange = exchange(stream, Request::from_parts(parts, body));
        let response = match progress {
            None => within(deadline, exchange).await,
            // Content moves the deadline while it is sent.
            Some(progress) => {
                let limits = HeadTimeout { timeout, min_rate: 0 };
                within_pace(limits, Some(&progress), Box::pin(exchange).as_mut()).await.and_then(|answer| answer)
            }
        };
        let outcome = response.as_ref().map(Response::status);
        tunnel.ended(&attempt, Some((attempt.started, connected)), outcome);
        upstream.ended(server, attempt.began, outcome);
        let mut response = response?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return upstream.received(response.map(Source::Driven), held, None);
        }
        let origin = hyper::upgrade::on(&mut response);
        let protocol = response.headers().get(header::UPGRADE).cloned();
        let mut parts = response.into_parts().0;
        upstream.receive(&mut parts)?;
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = protocol {
            parts.headers.insert(header::UPGRADE, protocol);
        }
        tokio::spawn(join(client, origin, server.standing.stats.begin_request(), tunnel));
        Ok(Response::from_parts(parts, UpstreamBody::new(Source::Empty, held, None)))
    }
}

/// A server that is asked, from the connection on.
struct Attempt {
    server: Arc<Server>,
    /// How many were tried before it.
    resends: u32,
    began: Option<Began>,
    started: Instant,
}

/// A connection for one request alone.
struct Connected {
    attempt: Attempt,
    stream: TokioIo<UpstreamStream>,
    connected: Instant,
}

/// An origin has its time for everything up to the head of its response.
async fn within<T>(
    deadline: Option<tokio::time::Instant>,
    step: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<T, UpstreamError> {
    match deadline {
        None => step.await,
        Some(deadline) => tokio::time::timeout_at(deadline, step).await.unwrap_or(Err(UpstreamError::FirstByteTimeout)),
    }
}

impl Upstream {
    /// Connects to `server`, or to each of the others in turn as long as none can be reached: nothing of the request was sent, so any may have it.
    async fn connect(
        &self,
        mut server: Arc<Server>,
        parts: &mut Parts,
        (tunnel, deadline): (&TunnelClient, Option<tokio::time::Instant>),
        held: &mut Held,
    ) -> Result<Connected, UpstreamError> {
        let (mut tried, mut resends) = (Vec::new(), 0);
        loop {
            tunnel.begins(&mut parts.headers);
            let attempt = Attempt { began: self.begin(&server), server, resends, started: monotonic() };
            let endpoint = &attempt.server.endpoint;
            let connecting = endpoint.for_upgrades.clone().call(url::base(&endpoint.url));
            let error = match within(deadline, async { connecting.await.map_err(classify) }).await {
                Ok(stream) => return Ok(Connected { attempt, stream, connected: monotonic() }),
                Err(error) => error,
            };
            tunnel.ended(&attempt, None, Err(&error));
            self.ended(&attempt.server, attempt.began, Err(&error));
            tried.push(attempt.server);
            let may_move = self.options.config.retry.as_ref().is_some_and(|retry| retry.on.connect);
            if !may_move || matches!(error, UpstreamError::FirstByteTimeout) || !self.servers.load().has_untried(&tried) {
                return Err(error);
            }
            resends += 1;
            server = self.pick(parts, Some(&tunnel.connection), &tried);
            self.stats.retried();
            held.is_with(&server.standing.stats);
        }
    }
}

/// One request on a connection of its own.
async fn exchange(stream: TokioIo<UpstreamStream>, request: Request<WatchedBody>) -> Result<Response<Incoming>, UpstreamError> {
    let (mut sender, connection) = http1::handshake(stream).await.map_err(classify)?;
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.map_err(classify)
}

/// Looks at a tunnel in the time that it may be quiet. One that is, is closed after that time and before one look more.
const LOOKS: u32 = 4;

/// Joins both connections once they are free of HTTP, and closes them when the tunnel has ended. Until then the client's keeps its slot.
async fn join(client: OnUpgrade, origin: OnUpgrade, _open: InFlight, tunnel: TunnelClient) {
    let (Ok(client), Ok(origin)) = tokio::join!(client, origin) else { return };
    copy(TokioIo::new(client), TokioIo::new(origin), tunnel.idle).await;
}

/// Copies both ways until both directions have ended, one of them fails, or nothing has come from either side for `idle`.
async fn copy(client: impl AsyncRead + AsyncWrite + Unpin, origin: impl AsyncRead + AsyncWrite + Unpin, idle: Duration) {
    let moved = AtomicU64::new(0);
    let count = |bytes: &[u8]| {
        moved.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    };
    let (mut client, mut origin) = (InspectReader::new(client, count), InspectReader::new(origin, count));
    tokio::select! {
        // A tunnel that breaks ends both sides, which is all that can be done about it.
        _ = tokio::io::copy_bidirectional(&mut client, &mut origin) => {}
        () = quiet(&moved, idle) => tracing::debug!("a tunnel was closed: nothing went through for {} s", idle.as_secs()),
    }
}

/// Waits until `moved` has not changed for so long.
async fn quiet(moved: &AtomicU64, idle: Duration) {
    let (mut before, mut quiet) = (0, 0);
    while quiet <= LOOKS {
        let now = moved.load(Ordering::Relaxed);
        quiet = if now == before { quiet + 1 } else { 1 };
        before = now;
        if quiet <= LOOKS {
            tokio::time::sleep(idle / LOOKS).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::advance;

    use super::*;

    const IDLE: Duration = Duration::from_secs(600);

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_ends_once_it_was_quiet_for_its_time_and_not_before() {
        let ((mut client, ours), (mut origin, theirs)) = (duplex(64), duplex(64));
        let tunnel = tokio::spawn(copy(ours, theirs, IDLE));
        let mut byte = [0];
        // Bytes of either side are enough, for as long as they come.
        for _ in 0..5 {
            client.write_all(b"x").await.expect("write");
            origin.read_exact(&mut byte).await.expect("read");
            advance(IDLE - Duration::from_millis(10)).await;
            origin.write_all(b"y").await.expect("write");
            client.read_exact(&mut byte).await.expect("read");
            advance(IDLE - Duration::from_millis(10)).await;
        }
        assert!(!tunnel.is_finished());
        tunnel.await.expect("it ends by itself");
        assert_eq!(client.read(&mut byte).await.expect("read"), 0);
        assert_eq!(origin.read(&mut byte).await.expect("read"), 0);
    }
}
