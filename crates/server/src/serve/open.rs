//! From an accepted connection to one that HTTP is spoken on.

use std::time::Duration;

use http::StatusCode;

use crate::connection::handler::{Handler, refuse_unread};
use crate::connection::handshakes::{HandshakeOutcome, Handshakes};
use crate::connection::linger::drain_connection;
use crate::connection::misuse::{Misuse, Misuses};
use crate::connection::open::Slot;
use crate::listener::handshake::{HandshakeFailure, Secured, TlsFacts, handshake};
use crate::listener::incoming::{Accepted, ConnectionInfo};
use crate::listener::proxy_header;
use crate::listener::setup::ListenerSetup;
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
    pub(crate) setup: &'a ListenerSetup,
    /// How long PROXY header and handshake may take together.
    pub(crate) timeout: Duration,
    pub(crate) handshakes: &'a Handshakes,
    pub(crate) misuses: &'a Misuses,
}

impl Opener<'_> {
    /// Does what comes before HTTP on this listener. `None` where the connection has ended with that.
    pub(crate) async fn open<H: Handler>(&self, accepted: Accepted, slot: Slot, handler: &H) -> Option<Opened> {
        if self.setup.tls.is_none() && self.setup.proxy_protocol.is_none() {
            let Accepted { transport, info } = accepted;
            return Some(Opened { socket: Socket::Plain(transport), info, tls: None, slot });
        }
        // In a box: the handshake's state is larger than that of a connection, which would carry it to its end.
        match tokio::time::timeout(self.timeout, Box::pin(self.prepare(accepted, slot, handler))).await {
            Ok(opened) => opened,
            Err(_elapsed) => {
                if self.setup.tls.is_some() {
                    self.handshakes.count(HandshakeOutcome::Late);
                }
                None
            }
        }
    }

    async fn prepare<H: Handler>(&self, accepted: Accepted, slot: Slot, handler: &H) -> Option<Opened> {
        let Accepted { mut transport, mut info } = accepted;
        if let Some(rule) = &self.setup.proxy_protocol {
            let Some(told) = proxy_header::read(&mut transport, info, rule).await else {
                self.misuses.tell(Misuse::ProxyHeader, info.remote, info.local);
                return None;
            };
            info = told;
        }
        let Some(tls) = &self.setup.tls else { return Some(Opened { socket: Socket::Plain(transport), info, tls: None, slot }) };
        // The state is held by count: a reload must not wait for a client.
        let tls = tls.load_full();
        let outcome = match handshake(transport, &tls, self.setup.challenges.as_ref()).await {
            Ok(Secured { stream, facts, resumed }) => {
                self.handshakes.count(if resumed { HandshakeOutcome::Resumed } else { HandshakeOutcome::Full });
                let info = ConnectionInfo { secure: true, ..info };
                return Some(Opened { socket: Socket::Tls(stream), info, tls: Some(facts), slot });
            }
            Err(HandshakeFailure::ClearText(transport)) => {
                self.misuses.tell(Misuse::ClearText, info.remote, info.local);
                refuse_clear_text(transport, info, slot, handler);
                HandshakeOutcome::ClearText
            }
            Err(HandshakeFailure::UnknownName) => HandshakeOutcome::UnknownName,
            Err(HandshakeFailure::Challenge) => HandshakeOutcome::Challenge,
            Err(HandshakeFailure::Broken) => HandshakeOutcome::Failed,
        };
        self.handshakes.count(outcome);
        None
    }
}

fn refuse_clear_text<H: Handler>(transport: Transport, info: ConnectionInfo, slot: Slot, handler: &H) {
    let mut socket = Socket::Plain(transport);
    socket.write_without_waiting(&refuse_unread(handler, info, CLEAR_TEXT));
    tokio::spawn(drain_connection(socket, slot));
}
