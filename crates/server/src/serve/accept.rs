//! The accept loops.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{Semaphore, watch};

use crate::connection::handler::{Handler, OwnAnswer};
use crate::connection::linger::linger_on_connection;
use crate::connection::open::{OpenConnections, Slot};
use crate::connection::peer::Peer;
use crate::listener::socket::{Accepted, Listener};
use crate::serve::drive::Pulse;
use crate::serve::protocols::Protocols;
use larder_message::problem::Problem;

const FULL: Problem =
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "connection_limit_reached", "There are too many connections.").closing();
/// Pauses after an accept that failed for want of something, such as file descriptors.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Connections that are turned away at the same time and may still read why. More are closed at once.
pub(crate) const TURNED_AWAY: usize = 64;

/// What every accept loop needs.
#[derive(Clone)]
pub(crate) struct Acceptor<H> {
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) turned_away: Arc<Semaphore>,
    pub(crate) protocols: Arc<Protocols>,
    pub(crate) open: OpenConnections,
    pub(crate) pulse: watch::Receiver<Pulse>,
    pub(crate) handler: H,
}

impl<H: Handler> Acceptor<H> {
    /// Accepts for as long as it runs. No error ends it, and none makes it spin.
    pub(crate) async fn run(self, listener: Listener) {
        let mut pause = FIRST_PAUSE;
        loop {
            match listener.accept().await {
                Ok(accepted) => {
                    pause = FIRST_PAUSE;
                    self.begin(accepted);
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

    fn begin(&self, accepted: Accepted) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { return self.turn_away(accepted) };
        let Accepted { socket, info } = accepted;
        let peer = Peer::new(info, Slot::new(slot, &self.open), self.protocols.tunnel_idle());
        let (protocols, handler, pulse) = (Arc::clone(&self.protocols), self.handler.clone(), self.pulse.clone());
        tokio::spawn(async move { protocols.serve(socket, peer, handler, pulse).await });
    }

    /// Refuses at once instead of leaving the connection in the backlog: a client that is told can go elsewhere, one that waits holds its
    /// own resources until its patience ends. Costs one write and no memory; if the write does not fit, closing says enough. What the client
    /// has sent by then is read, or the system would reset the connection before it has read why.
    fn turn_away(&self, Accepted { socket, info }: Accepted) {
        socket.write_without_waiting(&FULL.to_http1());
        self.handler.answered_before(&OwnAnswer::unread(info.remote.ip(), FULL));
        if let Ok(place) = Arc::clone(&self.turned_away).try_acquire_owned() {
            tokio::spawn(linger_on_connection(socket, place));
        }
    }
}

/// A connection that was gone before it was accepted says nothing about the next one.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}
