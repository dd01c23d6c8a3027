//! The server, from bound listeners to its end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::connection::activity::beat_interval;
use crate::connection::handler::Handler;
use crate::connection::open::OpenConnections;
use crate::listener::bind::{BindError, listen};
use crate::listener::socket::Listener;
use crate::serve::accept::{Acceptor, TURNED_AWAY};
use crate::serve::drive::{Phase, Pulse};
use crate::serve::protocols::Protocols;
use larder_config::ServerOptions;

/// How long aborted connections may take to let go.
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
    /// Connections that were cut because they did not finish within `drain_timeout`.
    pub aborted: usize,
}

impl Server {
    /// Listens on all of these addresses. From here on clients can connect; they are served once [`Server::serve`] runs. Has to be
    /// called inside a runtime.
    ///
    /// # Errors
    /// The first address that cannot be listened on.
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
    /// What the system says about a socket.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(Listener::local_addr).collect()
    }

    /// Serves until `shutdown` completes, then stops listening, lets requests under way finish for `drain_timeout`, and cuts the rest.
    /// Connections without a request have `idle_close_delay` for one more.
    pub async fn serve(self, options: ServerOptions, handler: impl Handler, shutdown: impl Future<Output = ()>) -> Drained {
        let (pulse, watched) = watch::channel(Pulse::default());
        let pulse = Arc::new(pulse);
        let beat = beat_interval(&options);
        let slots = Arc::new(Semaphore::new(options.max_connections as usize));
        let protocols = Arc::new(Protocols::new(options));
        let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
        let acceptor = Acceptor { slots: Arc::clone(&slots), turned_away, protocols, open: self.open, pulse: watched, handler };
        let mut loops = JoinSet::new();
        for listener in self.listeners {
            loops.spawn(acceptor.clone().run(listener));
        }
        loops.spawn(keep_beating(Arc::clone(&pulse), beat));
        drop(acceptor);
        shutdown.await;
        // The listeners close with their loops, so that a client that comes now is refused rather than left waiting.
        loops.shutdown().await;
        let all_slots = || slots.acquire_many(options.max_connections);
        let idle_close_delay = options.idle_close_delay.min(options.drain_timeout / 2);
        for (phase, time) in [(Phase::Parting, idle_close_delay), (Phase::Draining, options.drain_timeout - idle_close_delay)] {
            pulse.send_modify(|pulse| pulse.phase = phase);
            if tokio::time::timeout(time, all_slots()).await.is_ok() {
                return Drained { aborted: 0 };
            }
        }
        let aborted = (options.max_connections as usize).saturating_sub(slots.available_permits());
        pulse.send_modify(|pulse| pulse.phase = Phase::Aborting);
        let _ = tokio::time::timeout(ABORT_GRACE, all_slots()).await;
        Drained { aborted }
    }
}

/// Beats for all connections at once, for as long as it runs.
async fn keep_beating(pulse: Arc<watch::Sender<Pulse>>, beat: Duration) {
    loop {
        tokio::time::sleep(beat).await;
        pulse.send_modify(|pulse| pulse.beats = pulse.beats.wrapping_add(1));
    }
}
