//! One connection: its first bytes tell the protocol, and hyper serves the rest.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;

use crate::connection::activity::{Deadlines, tick_interval};
use crate::connection::handler::Handler;
use crate::connection::handshakes::Handshakes;
use crate::connection::misuse::{Misuse, Misuses};
use crate::connection::open::Slot;
use crate::connection::peer::Peer;
use crate::connection::sniff::FirstBytes;
use crate::http1::stream::{ClientStream, reply_timeout};
use crate::http2::cork::{Corked, CorkedStream};
use crate::http2::front::Front;
use crate::http2::limits::{FrameLimits, Http2Limits};
use crate::http2::streams::Streams;
use crate::http2::unsent::{CountedBody, MAX_UNSENT};
use crate::listener::incoming::Accepted;
use crate::listener::setup::ListenerSetup;
use crate::request::guard::HeadLimits;
use crate::serve::drive::{Driver, Phase, ServerState};
use crate::serve::open::{Opened, Opener};
use crate::serve::respond::respond;
use larder_config::ServerOptions;

/// Interval of HTTP/2 pings, and how long the client may take to answer one. Then the connection is closed.
const PING: Duration = Duration::from_secs(20);

/// How the connections of one listener are served.
#[derive(Clone)]
pub(crate) struct Protocols {
    http1: http1::Builder,
    options: ServerOptions,
    deadlines: Deadlines,
    setup: ListenerSetup,
    /// The port of `https` to which clients are sent.
    redirect: Option<u16>,
    observed: Observed,
}

/// Counters and signals of connections, for all listeners of a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    pub(crate) handshakes: Handshakes,
    pub(crate) misuses: Arc<Misuses>,
    pub(crate) http2_limits: Http2Limits,
    /// Ticks of the server.
    pub(crate) ticks: Arc<AtomicU32>,
}

impl Protocols {
    pub(crate) fn new(options: ServerOptions) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            // See `connection::activity`.
            .header_read_timeout(None)
            .max_header_size(options.max_header_bytes)
            .max_buf_size(options.max_header_bytes.max(8 * 1024) * 2);
        let deadlines = Deadlines::of(&options, tick_interval(&options));
        Self { http1, options, deadlines, setup: ListenerSetup::default(), redirect: None, observed: Observed::default() }
    }

    /// Those of a listener in a server that ticks every `tick`.
    pub(crate) fn of_listener(
        options: ServerOptions,
        tick: Duration,
        setup: ListenerSetup,
        redirect: Option<u16>,
        observed: Observed,
    ) -> Self {
        Self { deadlines: Deadlines::of(&options, tick), setup, redirect, observed, ..Self::new(options) }
    }

    /// Whether clients have to speak TLS.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.setup.tls.is_some()
    }

    /// How hyper reads and writes HTTP/1.1.
    pub(crate) fn http1(&self) -> &http1::Builder {
        &self.http1
    }

    fn http2(&self, streams: Streams) -> http2::Builder<Streams> {
        let mut http2 = http2::Builder::new(streams);
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(self.options.max_streams)
            .max_send_buf_size(MAX_UNSENT)
            .max_header_list_size(u32::try_from(self.max_fields()).unwrap_or(u32::MAX));
        http2
    }

    /// Bytes of fields that the HTTP/2 library takes: see `request::guard::check_size`.
    fn max_fields(&self) -> usize {
        self.options.max_header_bytes.saturating_mul(2)
    }

    /// Serves one connection until it ends or the server does.
    pub(crate) async fn serve<H: Handler>(&self, accepted: Accepted, slot: Slot, handler: H, mut state: watch::Receiver<ServerState>) {
        let timeout = self.options.header_read_timeout;
        let Observed { handshakes, misuses, http2_limits, ticks } = &self.observed;
        let opener = Opener { setup: &self.setup, timeout, handshakes, misuses };
        let opened = tokio::select! {
            opened = opener.open(accepted, slot, &handler) => opened,
            _ = state.wait_for(|state| state.phase > Phase::GoingAway) => return,
        };
        let Some(Opened { mut socket, info, tls, slot }) = opened else { return };
        let agreed = tls.as_ref().map(|tls| tls.is_http2);
        let peer = Peer::new(info, tls, self.redirect, slot, &self.options);
        let mut first = FirstBytes::default();
        let read = tokio::select! {
            read = tokio::time::timeout(timeout, first.read(&mut socket)) => read,
            _ = state.wait_for(|state| state.phase > Phase::GoingAway) => return socket.end_without_waiting(),
        };
        match read {
            Ok(Ok(true)) => {}
            Ok(Ok(false) | Err(_)) => return socket.end_without_waiting(),
            Err(_elapsed) => return reply_timeout(&mut socket, &first, &peer, &handler),
        }
        if agreed.is_none() && first.is_tls() {
            misuses.tell(Misuse::Tls, info.remote, info.local);
        }
        // Under TLS the protocol was agreed on (RFC 9113 §3.2), and bytes of another are an error in it.
        let is_http2 = agreed.unwrap_or_else(|| self.setup.http2 && first.is_http2());
        let (deadlines, limits) = (self.deadlines, HeadLimits::of(&self.options));
        if is_http2 {
            let frames = FrameLimits::new(self.max_fields(), Arc::clone(ticks), http2_limits.clone());
            let streams = Streams::new(self.options.write_timeout, Arc::clone(peer.unsent()));
            let front = || Front::new(handler.clone(), peer.clone(), streams.clone(), limits, self.max_fields());
            let front = H::ANSWERS_PLAIN.then(front);
            let stream = CorkedStream::new(socket, &first, peer.clone(), self.options.write_timeout, frames, Arc::clone(misuses), front);
            let cork = stream.cork();
            let driver = Driver { peer: &peer, deadlines, streams: Some(streams.clone()), idle_ticks: 0 };
            let service = service_fn({
                let (peer, streams) = (peer.clone(), streams.clone());
                move |request| {
                    let stream = streams.begin();
                    let response = respond(request, &peer, &handler, limits, None);
                    async move { response.await.map(|response| response.map(|body| CountedBody::new(body, stream))) }
                }
            });
            let connection = Corked::new(self.http2(streams).serve_connection(TokioIo::new(stream), service), cork);
            driver.drive(connection, |corked| corked.connection().graceful_shutdown(), state).await;
        } else {
            let stream = ClientStream::new(socket, &first, peer.clone(), handler.clone(), &self.options);
            let handover = stream.handover.clone();
            let driver = Driver { peer: &peer, deadlines, streams: None, idle_ticks: 0 };
            let service = service_fn({
                let peer = peer.clone();
                move |request| respond(request, &peer, &handler, limits, handover.take())
            });
            let connection = self.http1().serve_connection(TokioIo::new(stream), service).with_upgrades();
            let shut_down = |connection: Pin<&mut http1::UpgradeableConnection<_, _>>| {
                if !peer.drain_after_response() {
                    connection.graceful_shutdown();
                }
            };
            driver.drive(connection, shut_down, state).await;
        }
    }
}
