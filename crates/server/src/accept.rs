//! The accept loops, and the server's way to its end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::connection::{Phase, Protocols, Pulse};
use super::handler::{Handler, OwnAnswer};
use super::linger::linger_on_connection;
use super::listen::{BindError, listen};
use super::options::ServerOptions;
use super::peer::{OpenConnections, Peer, Slot};
use larder_message::problem::Problem;

const FULL: Problem =
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "connection_limit_reached", "There are too many connections.").closing();
/// Pauses after an accept that failed for want of something, such as file descriptors.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Connections that are turned away at the same time and may still read why. More are closed at once.
const TURNED_AWAY: usize = 64;
/// How long aborted connections may take to let go.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// Bound listeners that do not accept yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
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
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// Serves until `shutdown` completes, then stops listening, lets requests under way finish for `drain_timeout`, and cuts the rest.
    /// Connections without a request have `parting_time` for one more.
    pub async fn serve(self, options: ServerOptions, handler: impl Handler, shutdown: impl Future<Output = ()>) -> Drained {
        let (pulse, watched) = watch::channel(Pulse::default());
        let pulse = Arc::new(pulse);
        let beat = options.beat();
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
        let parting_time = options.parting_time.min(options.drain_timeout / 2);
        for (phase, time) in [(Phase::Parting, parting_time), (Phase::Draining, options.drain_timeout - parting_time)] {
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

/// What every accept loop needs.
#[derive(Clone)]
struct Acceptor<H> {
    slots: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
    protocols: Arc<Protocols>,
    open: OpenConnections,
    pulse: watch::Receiver<Pulse>,
    handler: H,
}

impl<H: Handler> Acceptor<H> {
    /// Accepts for as long as it runs. No error ends it, and none makes it spin.
    async fn run(self, listener: TcpListener) {
        let mut pause = FIRST_PAUSE;
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    pause = FIRST_PAUSE;
                    self.begin(stream, address);
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "accepting connections is failing");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn begin(&self, stream: TcpStream, address: SocketAddr) {
        let Ok(local) = stream.local_addr() else { return };
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { return self.turn_away(stream, address) };
        let peer = Peer::new(address, local, Slot::new(slot, &self.open), self.protocols.tunnel_idle());
        let (protocols, handler, pulse) = (Arc::clone(&self.protocols), self.handler.clone(), self.pulse.clone());
        tokio::spawn(async move { protocols.serve(stream, peer, handler, pulse).await });
    }

    /// Refuses at once instead of leaving the connection in the backlog: a client that is told can go elsewhere, one that waits holds its
    /// own resources until its patience ends. Costs one write and no memory; if the write does not fit, closing says enough. What the client
    /// has sent by then is read, or the system would reset the connection before it has read why.
    fn turn_away(&self, stream: TcpStream, address: SocketAddr) {
        let _ = stream.try_write(&FULL.to_http1());
        self.handler.answered_before(&OwnAnswer::unread(address.ip(), FULL));
        if let Ok(place) = Arc::clone(&self.turned_away).try_acquire_owned() {
            tokio::spawn(linger_on_connection(stream, place));
        }
    }
}

/// Beats for all connections at once, for as long as it runs.
async fn keep_beating(pulse: Arc<watch::Sender<Pulse>>, beat: Duration) {
    loop {
        tokio::time::sleep(beat).await;
        pulse.send_modify(|pulse| pulse.beats = pulse.beats.wrapping_add(1));
    }
}

/// A connection that was gone before it was accepted says nothing about the next one.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}
