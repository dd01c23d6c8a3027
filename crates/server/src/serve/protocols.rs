//! One connection: its first bytes tell the protocol, and hyper serves the rest.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;

use crate::connection::activity::Deadlines;
use crate::connection::handler::Handler;
use crate::connection::peer::Peer;
use crate::connection::sniff::FirstBytes;
use crate::http1::stream::{ClientStream, reply_timeout};
use crate::http2::streams::Streams;
use crate::http2::unsent::{CountedBody, MAX_UNSENT};
use crate::listener::socket::Socket;
use crate::request::guard::HeadLimits;
use crate::serve::drive::{Driver, Phase, ServerState};
use crate::serve::respond::respond;
use larder_config::ServerOptions;

/// Interval of HTTP/2 pings, and how long the client may take to answer one. Then the connection is closed.
const PING: Duration = Duration::from_secs(20);

/// How connections are served, for the whole server.
#[derive(Clone)]
pub(crate) struct Protocols {
    http1: http1::Builder,
    options: ServerOptions,
}

impl Protocols {
    pub(crate) fn new(options: ServerOptions) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            // See `connection::activity`.
            .header_read_timeout(None)
            .max_header_size(options.max_header_bytes)
            .max_buf_size(options.max_header_bytes.max(8 * 1024) * 2);
        Self { http1, options }
    }

    pub(crate) fn tunnel_idle(&self) -> Duration {
        self.options.tunnel_idle
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
            // See `request::guard::check_size`.
            .max_header_list_size(u32::try_from(self.options.max_header_bytes.saturating_mul(2)).unwrap_or(u32::MAX));
        http2
    }

    /// Serves one connection until it ends or the server does.
    pub(crate) async fn serve<H: Handler>(&self, mut socket: Socket, peer: Peer, handler: H, mut state: watch::Receiver<ServerState>) {
        let mut first = FirstBytes::default();
        let read = tokio::select! {
            read = tokio::time::timeout(self.options.header_read_timeout, first.read(&mut socket)) => read,
            _ = state.wait_for(|state| state.phase > Phase::GoingAway) => return,
        };
        match read {
            Ok(Ok(true)) => {}
            Ok(Ok(false) | Err(_)) => return,
            Err(_elapsed) => return reply_timeout(&socket, &first, &peer, &handler),
        }
        let is_http2 = first.is_http2();
        let io = TokioIo::new(ClientStream::new(socket, &first, peer.clone(), handler.clone(), &self.options));
        let (deadlines, limits) = (Deadlines::of(&self.options), HeadLimits::of(&self.options));
        if is_http2 {
            let streams = Streams::new(self.options.write_timeout, Arc::clone(peer.unsent()));
            let driver = Driver { peer: &peer, deadlines, streams: Some(streams.clone()), idle_ticks: 0 };
            let service = service_fn({
                let (peer, streams) = (peer.clone(), streams.clone());
                move |request| {
                    let stream = streams.begin();
                    let response = respond(request, &peer, &handler, limits);
                    async move { response.await.map(|response| response.map(|body| CountedBody::new(body, stream))) }
                }
            });
            let connection = self.http2(streams).serve_connection(io, service);
            driver.drive(connection, |connection| connection.graceful_shutdown(), state).await;
        } else {
            let driver = Driver { peer: &peer, deadlines, streams: None, idle_ticks: 0 };
            let service = service_fn({
                let peer = peer.clone();
                move |request| respond(request, &peer, &handler, limits)
            });
            let connection = self.http1().serve_connection(io, service).with_upgrades();
            driver.drive(connection, |connection| connection.graceful_shutdown(), state).await;
        }
    }
}
