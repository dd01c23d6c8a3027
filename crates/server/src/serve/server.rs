//! The server: binds its listeners, serves, and shuts down in phases.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::connection::activity::tick_interval;
use crate::connection::handler::Handler;
use crate::connection::handshakes::Handshakes;
use crate::connection::misuse::Misuses;
use crate::connection::open::OpenConnections;
use crate::http2::limits::Http2Limits;
use crate::listener::bind::{BindError, adopt, listen};
use crate::listener::incoming::Listener;
use crate::listener::setup::ListenerSetup;
use crate::listener::unix::listen_unix;
use crate::serve::accept::{Acceptor, MAX_REFUSED};
use crate::serve::drive::{Phase, ServerState};
use crate::serve::permits::ConnectionPermits;
use crate::serve::protocols::{Observed, Protocols};
use larder_config::ServerOptions;

/// How long aborted connections may take to end.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// Bound listeners that do not accept yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(Listener, ListenerSetup)>,
    open: OpenConnections,
    handshakes: Handshakes,
    http2_limits: Http2Limits,
}

/// A socket that somebody else has bound, and listens on: systemd, or the process that this one replaces.
#[derive(Debug)]
pub enum ListeningSocket {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener),
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off because they did not finish within `drain_timeout`.
    pub aborted: usize,
}

impl Server {
    /// Listens on all of these addresses, in clear text. See [`Server::bind_as`].
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        Self::bind_as(addresses, &ListenerSetup::default())
    }

    /// Listens on all of these addresses, each of which is served as `setup` says. From here on clients can connect; they are served once
    /// [`Server::serve`] runs. Has to be called inside a runtime.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub fn bind_as(addresses: &[SocketAddr], setup: &ListenerSetup) -> Result<Self, BindError> {
        let bind = |address: &SocketAddr| Ok((listen(*address)?, setup.clone()));
        let listeners = addresses.iter().map(bind).collect::<Result<_, _>>()?;
        Ok(Self { listeners, open: OpenConnections::default(), handshakes: Handshakes::default(), http2_limits: Http2Limits::default() })
    }

    /// These listeners and those of another, to be served as one.
    #[must_use]
    pub fn and(mut self, other: Server) -> Self {
        self.listeners.extend(other.listeners);
        self
    }

    /// A view of how many connections are open, for as long as it is kept.
    pub fn open_connections(&self) -> OpenConnections {
        self.open.clone()
    }

    /// How TLS handshakes end, for as long as it is kept.
    pub fn handshakes(&self) -> Handshakes {
        self.handshakes.clone()
    }

    /// How often limits of HTTP/2 are reached, for as long as it is kept.
    pub fn http2_limits(&self) -> Http2Limits {
        self.http2_limits.clone()
    }

    /// Listens on a Unix socket. See [`Server::bind_as`].
    ///
    /// # Errors
    /// The system's error; `AddrInUse` where somebody listens there.
    pub fn bind_unix(path: &Path, mode: u32, group: Option<u32>, setup: &ListenerSetup) -> io::Result<Self> {
        Ok(Self::of(Listener::Unix(listen_unix(path, mode, group)?), setup))
    }

    /// Takes over a socket that somebody else listens on. See [`Server::bind_as`].
    ///
    /// # Errors
    /// The system's error about the socket.
    pub fn adopt(socket: ListeningSocket, setup: &ListenerSetup) -> io::Result<Self> {
        let listener = match socket {
            ListeningSocket::Tcp(listener) => adopt(listener)?,
            ListeningSocket::Unix(listener) => {
                listener.set_nonblocking(true)?;
                Listener::Unix(UnixListener::from_std(listener)?)
            }
        };
        Ok(Self::of(listener, setup))
    }

    fn of(listener: Listener, setup: &ListenerSetup) -> Self {
        let listeners = vec![(listener, setup.clone())];
        Self { listeners, open: OpenConnections::default(), handshakes: Handshakes::default(), http2_limits: Http2Limits::default() }
    }

    /// Other handles of the sockets, in their order. As long as one is kept, its socket takes connections, whoever accepts them.
    ///
    /// # Errors
    /// The system's error about a socket.
    pub fn handles(&self) -> io::Result<Vec<OwnedFd>> {
        self.listeners.iter().map(|(listener, _)| listener.handle()).collect()
    }

    /// The addresses that are listened on, with the ports that were chosen for port 0, but for Unix sockets.
    ///
    /// # Errors
    /// The system's error about a socket.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().filter_map(|(listener, _)| listener.local_addr().transpose()).collect()
    }

    /// The URLs under which clients reach these addresses.
    ///
    /// # Errors
    /// The system's error about a socket.
    pub fn urls(&self) -> io::Result<Vec<String>> {
        let url = |(listener, setup): &(Listener, ListenerSetup)| {
            let scheme = if setup.tls.is_some() { "https" } else { "http" };
            Ok(format!("{scheme}://{}", listener.location()?))
        };
        self.listeners.iter().map(url).collect()
    }

    /// Serves until `shutdown` completes, then stops listening, lets requests under way finish for `drain_timeout`, and cuts the rest.
    /// Idle HTTP/1.1 connections stay open for `idle_close_delay` before that. Listeners without options of their own have these.
    pub async fn serve(self, options: ServerOptions, handler: impl Handler, shutdown: impl Future<Output = ()>) -> Drained {
        let (state, watched) = watch::channel(ServerState::default());
        let state = Arc::new(state);
        let of = |setup: &ListenerSetup| setup.options.unwrap_or(options);
        let interval = self.listeners.iter().map(|(_, setup)| tick_interval(&of(setup))).min().unwrap_or_else(|| tick_interval(&options));
        let mut permits = ConnectionPermits::new(options.max_connections);
        let refused_slots = Arc::new(Semaphore::new(MAX_REFUSED));
        let observed = Observed { handshakes: self.handshakes, http2_limits: self.http2_limits, ..Observed::default() };
        let https_port = https_port(&self.listeners);
        let mut loops = JoinSet::new();
        for (listener, setup) in self.listeners {
            let own = of(&setup);
            let slots = if setup.counted_apart { permits.apart(own.max_connections) } else { permits.shared() };
            let redirect = setup.redirect.map(|redirect| redirect.port.unwrap_or(https_port));
            let protocols = Arc::new(Protocols::of_listener(own, interval, setup, redirect, observed.clone()));
            let (refused_slots, open, state) = (Arc::clone(&refused_slots), self.open.clone(), watched.clone());
            loops.spawn(Acceptor { slots, refused_slots, protocols, open, state, handler: handler.clone() }.run(listener));
        }
        loops.spawn(pass_minutes(Arc::clone(&observed.misuses)));
        loops.spawn(tick_forever(Arc::clone(&state), Arc::clone(&observed.ticks), interval));
        drop((handler, watched));
        shutdown.await;
        // The listeners close with their loops, so a client that connects now is refused rather than left waiting.
        loops.shutdown().await;
        let idle_close_delay = options.idle_close_delay.min(options.drain_timeout / 2);
        for (phase, time) in [(Phase::GoingAway, idle_close_delay), (Phase::Draining, options.drain_timeout - idle_close_delay)] {
            state.send_modify(|state| state.phase = phase);
            if tokio::time::timeout(time, permits.all_free()).await.is_ok() {
                return Drained { aborted: 0 };
            }
        }
        let aborted = permits.taken();
        state.send_modify(|state| state.phase = Phase::Aborting);
        let _ = tokio::time::timeout(ABORT_GRACE, permits.all_free()).await;
        Drained { aborted }
    }
}

/// The port to which clients are sent where the configuration names none: that of the first listener that speaks TLS.
fn https_port(listeners: &[(Listener, ListenerSetup)]) -> u16 {
    let mut secure = listeners.iter().filter(|(_, setup)| setup.tls.is_some());
    secure.find_map(|(listener, _)| listener.local_addr().ok().flatten()).map_or(443, |address| address.port())
}

async fn pass_minutes(misuses: Arc<Misuses>) {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        misuses.minute_passed();
    }
}

/// Ticks for all connections at once, for as long as it runs.
async fn tick_forever(state: Arc<watch::Sender<ServerState>>, ticks: Arc<AtomicU32>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        ticks.fetch_add(1, Ordering::Relaxed);
        state.send_modify(|state| state.ticks = state.ticks.wrapping_add(1));
    }
}
