//! Listening sockets and the sockets of clients, with their kinds as variants. The rest of the crate does not know the kinds.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// A socket that is listened on. An enum rather than a trait object: it costs no allocation and no indirect call.
#[derive(Debug)]
pub(crate) enum Listener {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpListener),
}

/// A connection that has just been accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) socket: Socket,
    pub(crate) info: ConnectionInfo,
}

/// What the socket says about a connection. It does not change while the connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionInfo {
    /// The client's end.
    pub(crate) remote: SocketAddr,
    /// This end.
    pub(crate) local: SocketAddr,
    /// Whether TLS protects the connection: the origin is told `https` then.
    pub(crate) secure: bool,
}

impl Listener {
    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        let Self::Tcp(listener) = self;
        loop {
            let (stream, remote) = listener.accept().await?;
            // No local address: the connection has ended already, which is no failure of the listener.
            if let Ok(local) = stream.local_addr() {
                return Ok(Accepted { socket: Socket::Tcp(stream), info: ConnectionInfo { remote, local, secure: false } });
            }
        }
    }

    /// The address, with the port that was chosen for port 0.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
        }
    }
}

/// One end of a client's connection.
#[derive(Debug)]
pub(crate) enum Socket {
    /// TCP, not encrypted.
    Tcp(TcpStream),
}

impl Socket {
    /// Writes as much as fits without waiting, and drops the rest: for a last message on a connection that is closed in any case.
    pub(crate) fn write_without_waiting(&self, bytes: &[u8]) {
        match self {
            Self::Tcp(stream) => drop(stream.try_write(bytes)),
        }
    }

    /// Resets the connection when the socket is dropped, so that the system keeps nothing of what was not sent.
    pub(crate) fn reset_on_drop(&self) {
        match self {
            Self::Tcp(stream) => drop(SockRef::from(stream).set_linger(Some(Duration::ZERO))),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::bind::listen;

    #[tokio::test]
    async fn an_accepted_connection_knows_both_ends_and_that_tcp_alone_is_not_secure() {
        let listener = listen("127.0.0.1:0".parse().expect("address")).expect("listener");
        let address = listener.local_addr().expect("address");
        let client = TcpStream::connect(address).await.expect("connect");
        let accepted = listener.accept().await.expect("accept");
        let expected = ConnectionInfo { remote: client.local_addr().expect("address"), local: address, secure: false };
        assert_eq!(accepted.info, expected);
    }
}
