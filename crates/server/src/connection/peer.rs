//! The other end of a connection, and what is shared about it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::Version;

use crate::connection::activity::Turn;
use crate::connection::open::Slot;
use crate::listener::socket::ConnectionInfo;
use crate::request::suspicion::Suspicion;
use larder_message::client::ClientConnection;
use larder_message::interim::{InterimResponses, Outbox};

/// A client's connection, as a handler sees it. As long as a clone lives, the connection counts against `max_connections`: a tunnel
/// keeps one.
#[derive(Clone, Debug)]
pub struct Peer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    info: ConnectionInfo,
    tunnel_idle: Duration,
    outbox: Arc<Outbox>,
    turn: Turn,
    ambiguous: AtomicBool,
    bare_lf: AtomicBool,
    odd_length: AtomicBool,
    switched: AtomicBool,
    late: AtomicBool,
    lingers: AtomicBool,
    parting: AtomicBool,
    slot: Slot,
}

impl Peer {
    pub(crate) fn new(info: ConnectionInfo, slot: Slot, tunnel_idle: Duration) -> Self {
        Self(Arc::new(Shared {
            info,
            tunnel_idle,
            outbox: Arc::default(),
            turn: Turn::theirs(),
            ambiguous: AtomicBool::new(false),
            bare_lf: AtomicBool::new(false),
            odd_length: AtomicBool::new(false),
            switched: AtomicBool::new(false),
            late: AtomicBool::new(false),
            lingers: AtomicBool::new(false),
            parting: AtomicBool::new(false),
            slot,
        }))
    }

    /// Where it came from.
    pub fn address(&self) -> SocketAddr {
        self.0.info.remote
    }

    /// Where it came to.
    pub fn local(&self) -> SocketAddr {
        self.0.info.local
    }

    /// How long a tunnel of this client may be quiet, both ways.
    pub fn tunnel_idle(&self) -> Duration {
        self.0.tunnel_idle
    }

    /// Bytes that are on their way to clients over HTTP/2, of all connections.
    pub(crate) fn unsent(&self) -> &Arc<AtomicU64> {
        self.0.slot.unsent()
    }

    /// What the origin is told about a request received with this version.
    pub fn client_connection(&self, version: Version) -> ClientConnection {
        ClientConnection { peer: self.0.info.remote.ip(), secure: self.0.info.secure, version }
    }

    /// Where informational responses to the request under way go. `None` where the client's protocol cannot take them: only HTTP/1.1
    /// here (RFC 9110 §15.2 forbids them to HTTP/1.0 clients).
    pub fn interim_responses(&self, version: Version) -> Option<InterimResponses> {
        (version == Version::HTTP_11).then(|| self.0.outbox.begin())
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.0.outbox
    }

    pub(crate) fn turn(&self) -> &Turn {
        &self.0.turn
    }

    /// What is wrong with the heads of this connection.
    pub(crate) fn suspicion(&self) -> Suspicion {
        Suspicion {
            ambiguous: self.0.ambiguous.load(Ordering::Relaxed),
            bare_lf: self.0.bare_lf.load(Ordering::Relaxed),
            odd_length: self.0.odd_length.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn suspect(&self, suspicion: Suspicion) {
        self.0.ambiguous.store(suspicion.ambiguous, Ordering::Relaxed);
        self.0.bare_lf.store(suspicion.bare_lf, Ordering::Relaxed);
        self.0.odd_length.store(suspicion.odd_length, Ordering::Relaxed);
    }

    /// The answer under way is the last of HTTP here: what comes behind it is in another protocol (RFC 9110 §7.8).
    pub(crate) fn is_switched(&self) -> bool {
        self.0.switched.load(Ordering::Relaxed)
    }

    pub(crate) fn mark_switched(&self) {
        self.0.switched.store(true, Ordering::Relaxed);
    }

    /// A head did not arrive in time.
    pub(crate) fn is_late(&self) -> bool {
        self.0.late.load(Ordering::Relaxed)
    }

    pub(crate) fn mark_late(&self) {
        self.0.late.store(true, Ordering::Relaxed);
    }

    /// The next answer is the last on this connection.
    pub(crate) fn is_parting(&self) -> bool {
        self.0.parting.load(Ordering::Relaxed)
    }

    pub(crate) fn mark_parting(&self) {
        self.0.parting.store(true, Ordering::Relaxed);
    }

    /// The client may still be sending when this side closes.
    pub(crate) fn lingers(&self) -> bool {
        self.0.lingers.load(Ordering::Relaxed)
    }

    pub(crate) fn mark_lingering(&self) {
        self.0.lingers.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[test]
    fn the_origin_is_told_whether_the_connection_is_secure() {
        for secure in [false, true] {
            let address = "192.0.2.1:1".parse().expect("address");
            let info = ConnectionInfo { remote: address, local: address, secure };
            let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a permit");
            let peer = Peer::new(info, Slot::new(permit, &Default::default()), Duration::ZERO);
            let connection = peer.client_connection(Version::HTTP_11);
            assert_eq!((connection.peer, connection.secure), (address.ip(), secure));
        }
    }
}
