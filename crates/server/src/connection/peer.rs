//! The client of a connection, and the state that handler, hyper's service and socket share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::Version;

use crate::connection::activity::ActivityTimer;
use crate::connection::open::Slot;
use crate::listener::handshake::TlsFacts;
use crate::listener::incoming::ConnectionInfo;
use crate::request::door::Door;
use crate::request::faults::FramingFaults;
use larder_config::ServerOptions;
use larder_message::client::ClientConnection;
use larder_message::interim::{InterimResponses, Outbox};

/// A client's connection, as a handler sees it. As long as a clone lives, the connection counts against `max_connections`: a tunnel
/// keeps one.
#[derive(Clone, Debug)]
pub struct Peer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    info: ConnectionInfo,
    tls: Option<TlsFacts>,
    redirect: Option<u16>,
    tunnel_idle: Duration,
    min_upload_rate: u64,
    outbox: Arc<Outbox>,
    activity: ActivityTimer,
    ambiguous: AtomicBool,
    bare_lf: AtomicBool,
    odd_length: AtomicBool,
    switched: AtomicBool,
    late: AtomicBool,
    lingers: AtomicBool,
    closing: AtomicBool,
    answering: AtomicBool,
    drained: AtomicBool,
    slot: Slot,
}

impl Peer {
    pub(crate) fn new(info: ConnectionInfo, tls: Option<TlsFacts>, redirect: Option<u16>, slot: Slot, options: &ServerOptions) -> Self {
        Self(Arc::new(Shared {
            info,
            tls,
            // A client that a proxy says to have spoken TLS with is where it would be sent.
            redirect: redirect.filter(|_| !info.secure),
            tunnel_idle: options.tunnel_idle,
            min_upload_rate: options.min_upload_rate,
            outbox: Arc::default(),
            activity: ActivityTimer::new(),
            ambiguous: AtomicBool::new(false),
            bare_lf: AtomicBool::new(false),
            odd_length: AtomicBool::new(false),
            switched: AtomicBool::new(false),
            late: AtomicBool::new(false),
            lingers: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            answering: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            slot,
        }))
    }

    /// The client's address.
    pub fn address(&self) -> SocketAddr {
        self.0.info.remote
    }

    /// The address that the client connected to.
    pub fn local(&self) -> SocketAddr {
        self.0.info.local
    }

    pub(crate) fn info(&self) -> ConnectionInfo {
        self.0.info
    }

    /// The outcome of the TLS handshake, where the connection has had one.
    pub(crate) fn tls(&self) -> Option<&TlsFacts> {
        self.0.tls.as_ref()
    }

    /// The connection's own facts for the judgement of its requests.
    pub(crate) fn door(&self) -> Door<'_> {
        Door { tls: self.tls(), redirect: self.0.redirect }
    }

    /// How long a tunnel of this client may be quiet, both ways.
    pub fn tunnel_idle(&self) -> Duration {
        self.0.tunnel_idle
    }

    /// Bytes a second that this client has to send of its content on average; 0: any number.
    pub fn min_upload_rate(&self) -> u64 {
        self.0.min_upload_rate
    }

    /// See [`crate::OpenConnections::unsent`].
    pub(crate) fn unsent(&self) -> &Arc<AtomicU64> {
        self.0.slot.unsent()
    }

    /// The connection of a request received with this version, as the origin is told of it.
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

    pub(crate) fn activity(&self) -> &ActivityTimer {
        &self.0.activity
    }

    /// Faults in the heads of this connection.
    pub(crate) fn faults(&self) -> FramingFaults {
        FramingFaults {
            ambiguous: self.0.ambiguous.load(Ordering::Relaxed),
            bare_lf: self.0.bare_lf.load(Ordering::Relaxed),
            odd_length: self.0.odd_length.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn set_faults(&self, faults: FramingFaults) {
        self.0.ambiguous.store(faults.ambiguous, Ordering::Relaxed);
        self.0.bare_lf.store(faults.bare_lf, Ordering::Relaxed);
        self.0.odd_length.store(faults.odd_length, Ordering::Relaxed);
    }

    /// The response under way is the last one of HTTP here: another protocol follows (RFC 9110 §7.8).
    pub(crate) fn is_switched(&self) -> bool {
        self.0.switched.load(Ordering::Relaxed)
    }

    pub(crate) fn set_switched(&self) {
        self.0.switched.store(true, Ordering::Relaxed);
    }

    /// A head did not arrive in time.
    pub(crate) fn is_late(&self) -> bool {
        self.0.late.load(Ordering::Relaxed)
    }

    pub(crate) fn set_late(&self) {
        self.0.late.store(true, Ordering::Relaxed);
    }

    /// The next response is the last one on this connection.
    pub(crate) fn closes_after_response(&self) -> bool {
        self.0.closing.load(Ordering::Relaxed)
    }

    pub(crate) fn close_after_response(&self) {
        self.0.closing.store(true, Ordering::Relaxed);
    }

    /// A request is being answered past hyper, which takes the connection for idle meanwhile.
    pub(crate) fn set_answering(&self, answering: bool) {
        self.0.answering.store(answering, Ordering::Relaxed);
    }

    /// The server takes no more requests. Whether this has to wait for a response that hyper does not know of; then it is the last one.
    pub(crate) fn drain_after_response(&self) -> bool {
        let is_answering = self.0.answering.load(Ordering::Relaxed);
        if is_answering {
            self.close_after_response();
            self.0.drained.store(true, Ordering::Relaxed);
        }
        is_answering
    }

    /// The response that was under way when the server began to drain was the last one.
    pub(crate) fn is_drained(&self) -> bool {
        self.0.drained.load(Ordering::Relaxed)
    }

    /// The client may still be sending when this side closes.
    pub(crate) fn lingers(&self) -> bool {
        self.0.lingers.load(Ordering::Relaxed)
    }

    pub(crate) fn set_lingering(&self) {
        self.0.lingers.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    /// A client that no connection leads to.
    pub(crate) fn peer(secure: bool) -> Peer {
        let address = "192.0.2.1:1".parse().expect("address");
        let info = ConnectionInfo { remote: address, local: address, secure };
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a permit");
        Peer::new(info, None, None, Slot::new(permit, &Default::default()), &ServerOptions::default())
    }

    #[test]
    fn a_client_that_has_spoken_tls_with_a_proxy_is_sent_nowhere() {
        for (secure, redirect) in [(false, Some(443)), (true, None)] {
            let (info, permit) = (peer(secure).info(), Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a permit"));
            let peer = Peer::new(info, None, Some(443), Slot::new(permit, &Default::default()), &ServerOptions::default());
            assert_eq!(peer.door().redirect, redirect);
        }
    }

    #[test]
    fn the_origin_is_told_whether_the_connection_is_secure() {
        for secure in [false, true] {
            let peer = peer(secure);
            let connection = peer.client_connection(Version::HTTP_11);
            assert_eq!((connection.peer, connection.secure), (peer.address().ip(), secure));
        }
    }
}
