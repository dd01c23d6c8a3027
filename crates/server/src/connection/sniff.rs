//! Which protocol a connection begins with.

use std::io;

use tokio::io::AsyncReadExt;

use crate::listener::socket::Socket;

/// The preface of an HTTP/2 connection (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first bytes of a connection, as many as were needed to tell.
#[derive(Debug, Default)]
pub(crate) struct FirstBytes {
    bytes: [u8; PREFACE.len()],
    read: usize,
}

impl FirstBytes {
    /// Reads until the protocol is clear. Can be dropped at any time; what was read stays. False when the peer left without a byte.
    pub(crate) async fn read(&mut self, socket: &mut Socket) -> io::Result<bool> {
        while self.could_be_http2() && self.read < PREFACE.len() {
            match socket.read(&mut self.bytes[self.read..]).await? {
                0 => break,
                read => self.read += read,
            }
        }
        Ok(self.read > 0)
    }

    /// The whole preface is there.
    pub(crate) fn is_http2(&self) -> bool {
        self.bytes == *PREFACE
    }

    /// A record of TLS, of its first message (RFC 8446 §5.1).
    pub(crate) fn is_tls(&self) -> bool {
        self.as_slice().starts_with(&[0x16, 0x03])
    }

    fn could_be_http2(&self) -> bool {
        PREFACE.starts_with(self.as_slice())
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.read]
    }
}
