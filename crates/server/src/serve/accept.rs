//! The accept loops: each new connection is served in a task of its own, or refused where there are too many.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{Semaphore, watch};

use crate::connection::handler::{Handler, refuse_unread};
use crate::connection::linger::drain_connection;
use crate::connection::open::{OpenConnections, Slot};
use crate::listener::incoming::{Accepted, Listener};
use crate::listener::socket::Socket;
use crate::serve::drive::ServerState;
use crate::serve::protocols::Protocols;
use larder_message::problem::Problem;

const TOO_MANY_CONNECTIONS: Problem =
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "connection_limit_reached", "There are too many connections.").closing();
/// Pauses after an accept that failed because something ran out, such as file descriptors.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// Refused connections that are drained at the same time, so that their clients can read why. More are closed at once.
pub(crate) const MAX_REFUSED: usize = 64;

/// The state shared by all accept loops.
#[derive(Clone)]
pub(crate) struct Acceptor<H> {
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) refused_slots: Arc<Semaphore>,
    pub(crate) protocols: Arc<Protocols>,
    pub(crate) open: OpenConnections,
    pub(crate) state: watch::Receiver<ServerState>,
    pub(crate) handler: H,
}

impl<H: Handler> Acceptor<H> {
    /// Accepts until it is aborted. After an error it pauses, so that it neither ends nor spins.
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
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
    }

    fn begin(&self, accepted: Accepted) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { return self.refuse(accepted) };
        let slot = Slot::new(slot, &self.open);
        let (protocols, handler, state) = (Arc::clone(&self.protocols), self.handler.clone(), self.state.clone());
        tokio::spawn(async move { protocols.serve(accepted, slot, handler, state).await });
    }

    /// Refuses at once instead of leaving the connection in the backlog: a refused client can go elsewhere, and a waiting one holds its own
    /// resources until it times out. This costs one write and no memory; if the write does not fit, the connection is closed without it. What
    /// the client has sent by then is read, or the system would reset the connection before the client has read the refusal. Under TLS a
    /// refusal that can be read would cost a handshake, so the connection is closed.
    fn refuse(&self, Accepted { transport, info }: Accepted) {
        let answer = refuse_unread(&self.handler, info, TOO_MANY_CONNECTIONS);
        if self.protocols.speaks_tls() {
            return;
        }
        let mut socket = Socket::Plain(transport);
        socket.write_without_waiting(&answer);
        if let Ok(permit) = Arc::clone(&self.refused_slots).try_acquire_owned() {
            tokio::spawn(drain_connection(socket, permit));
        }
    }
}

/// The connection ended before it was accepted, which is no failure of the listener.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}
