//! The server: binds its listeners, serves, and shuts down in phases.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::connection::activity::tick_interval;
use crate::connection::handler::Handler;
use crate::connection::open::OpenConnections;
use crate::listener::bind::{BindError, listen};
use crate::listener::socket::Listener;
use crate::serve::accept::{Acceptor, MAX_REFUSED};
use crate::serve::drive::{Phase, ServerState};
use crate::serve::protocols::Protocols;
use larder_config::ServerOptions;

/// How long aborted connections may take to end.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// Bound listeners that do not accept yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    open: OpenConnections,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off because they did not finish within `drain_timeout`.
    pub aborted: usize,
}

impl Server {
    /// Listens on all of these addresses. From here on clients can connect; they are served once [`Server::serve`] runs. Has to be
    /// called inside a runtime.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        let listeners = addresses.iter().copied().map(listen).collect::<Result<_, _>>()?;
        Ok(Self { listeners, open: OpenConnections::default() })
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

    /// The addresses that are listened on, with the ports that were chosen for port 0.
    ///
    /// # Errors
    /// The system's error about a socket.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(Listener::local_addr).collect()
    }

    /// Serves until `shutdown` completes, then stops listening, lets requests under way finish for `drain_timeout`, and cuts the rest.
    /// Idle HTTP/1.1 connections stay open for `idle_close_delay` before that.
    pub async fn serve(self, options: ServerOptions, handler: impl Handler, shutdown: impl Future<Output = ()>) -> Drained {
        let (state, watched) = watch::channel(ServerState::default());
        let state = Arc::new(state);
        let interval = tick_interval(&options);
        let slots = Arc::new(Semaphore::new(options.max_connections as usize));
        let protocols = Arc::new(Protocols::new(options));
        let refused_slots = Arc::new(Semaphore::new(MAX_REFUSED));
        let acceptor = Acceptor { slots: Arc::clone(&slots), refused_slots, protocols, open: self.open, state: watched, handler };
        let mut loops = JoinSet::new();
        for listener in self.listeners {
            loops.spawn(acceptor.clone().run(listener));
        }
        loops.spawn(tick_forever(Arc::clone(&state), interval));
        drop(acceptor);
        shutdown.await;
        // The listeners close with their loops, so a client that connects now is refused rather than left waiting.
        loops.shutdown().await;
        let all_slots = || slots.acquire_many(options.max_connections);
        let idle_close_delay = options.idle_close_delay.min(options.drain_timeout / 2);
        for (phase, time) in [(Phase::GoingAway, idle_close_delay), (Phase::Draining, options.drain_timeout - idle_close_delay)] {
            state.send_modify(|state| state.phase = phase);
            if tokio::time::timeout(time, all_slots()).await.is_ok() {
                return Drained { aborted: 0 };
            }
        }
        let aborted = (options.max_connections as usize).saturating_sub(slots.available_permits());
        state.send_modify(|state| state.phase = Phase::Aborting);
        let _ = tokio::time::timeout(ABORT_GRACE, all_slots()).await;
        Drained { aborted }
    }
}

/// Ticks for all connections at once, for as long as it runs.
async fn tick_forever(state: Arc<watch::Sender<ServerState>>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        state.send_modify(|state| state.ticks = state.ticks.wrapping_add(1));
    }
}
