//! From an accepted connection to one that HTTP is spoken on.

use std::time::Duration;

use arc_swap::ArcSwap;
use http::StatusCode;
use larder_tls::TlsState;

use crate::connection::handler::{Handler, LocalReply};
use crate::connection::handshakes::{HandshakeOutcome, Handshakes};
use crate::connection::linger::drain_connection;
use crate::connection::open::Slot;
use crate::listener::handshake::{HandshakeFailure, Secured, TlsFacts, handshake};
use crate::listener::incoming::{Accepted, ConnectionInfo};
use crate::listener::socket::Socket;
use crate::listener::transport::Transport;
use larder_message::problem::Problem;

/// nginx answers it so, too. Its client may be a person with a wrong URL.
const CLEAR_TEXT: Problem =
    Problem::refusal(StatusCode::BAD_REQUEST, "This port speaks HTTPS, and the request came in clear text. Use https:// in its URL.");

/// A connection that HTTP is spoken on.
pub(crate) struct Opened {
    pub(crate) socket: Socket,
    pub(crate) info: ConnectionInfo,
    pub(crate) tls: Option<TlsFacts>,
    pub(crate) slot: Slot,
}

/// Opens connections of one listener.
#[derive(Clone, Debug)]
pub(crate) struct Opener<'a> {
    pub(crate) tls: Option<&'a ArcSwap<TlsState>>,
    /// How long the handshake may take.
    pub(crate) timeout: Duration,
    pub(crate) handshakes: &'a Handshakes,
}

impl Opener<'_> {
    /// Speaks TLS where the listener does. `None` where the connection has ended with that.
    pub(crate) async fn open<H: Handler>(&self, accepted: Accepted, slot: Slot, handler: &H) -> Option<Opened> {
        let Accepted { transport, info } = accepted;
        let Some(tls) = self.tls else { return Some(Opened { socket: Socket::Plain(transport), info, tls: None, slot }) };
        let info = ConnectionInfo { secure: true, ..info };
        // The state is held by count: a reload must not wait for a client.
        let tls = tls.load_full();
        let outcome = match tokio::time::timeout(self.timeout, handshake(transport, &tls)).await {
            Ok(Ok(Secured { stream, facts, resumed })) => {
                self.handshakes.count(if resumed { HandshakeOutcome::Resumed } else { HandshakeOutcome::Full });
                return Some(Opened { socket: Socket::Tls(stream), info, tls: Some(facts), slot });
            }
            Ok(Err(HandshakeFailure::ClearText(transport))) => {
                refuse_clear_text(transport, ConnectionInfo { secure: false, ..info }, slot, handler);
                HandshakeOutcome::ClearText
            }
            Ok(Err(HandshakeFailure::UnknownName)) => HandshakeOutcome::UnknownName,
            Ok(Err(HandshakeFailure::Broken)) => HandshakeOutcome::Failed,
            Err(_elapsed) => HandshakeOutcome::Late,
        };
        self.handshakes.count(outcome);
        None
    }
}

fn refuse_clear_text<H: Handler>(transport: Transport, info: ConnectionInfo, slot: Slot, handler: &H) {
    let mut socket = Socket::Plain(transport);
    socket.write_without_waiting(&CLEAR_TEXT.to_http1());
    handler.on_local_reply(&LocalReply::unread(info, CLEAR_TEXT));
    tokio::spawn(drain_connection(socket, slot));
}
