//! Listening sockets and what they accept.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use tokio::net::{TcpListener, UnixListener};

use crate::listener::transport::Transport;

/// A socket that is listened on. An enum rather than a trait object: it costs no allocation and no indirect call.
#[derive(Debug)]
pub(crate) enum Listener {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// Both ends of a connection over a Unix socket, whose clients have no address: they are on this machine.
const THIS_MACHINE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A connection that has just been accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) transport: Transport,
    pub(crate) info: ConnectionInfo,
}

/// The facts about a connection before its first request. They do not change while the connection lives.
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
        let listener = match self {
            Self::Tcp(listener) => listener,
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let info = ConnectionInfo { remote: THIS_MACHINE, local: THIS_MACHINE, secure: false };
                return Ok(Accepted { transport: Transport::Unix(stream), info });
            }
        };
        loop {
            let (stream, remote) = listener.accept().await?;
            // No local address: the connection has ended already, which is no failure of the listener.
            if let Ok(local) = stream.local_addr() {
                return Ok(Accepted { transport: Transport::Tcp(stream), info: ConnectionInfo { remote, local, secure: false } });
            }
        }
    }

    /// The address, with the port that was chosen for port 0; `None` for a Unix socket.
    pub(crate) fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Some),
            Self::Unix(_) => Ok(None),
        }
    }

    /// Where it is, as it may stand in a URL.
    pub(crate) fn location(&self) -> io::Result<String> {
        match self {
            Self::Tcp(listener) => Ok(listener.local_addr()?.to_string()),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                // It was moved to its place after it had got this name.
                let path = address.as_pathname().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
                Ok(format!("unix:{}", path.strip_suffix(".new").unwrap_or(&path)))
            }
        }
    }

    /// Another handle of the socket, which listens for as long as it is kept.
    pub(crate) fn handle(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
            Self::Unix(listener) => listener.as_fd().try_clone_to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;
    use crate::listener::bind::listen;

    #[tokio::test]
    async fn an_accepted_connection_knows_both_ends_and_that_tcp_alone_is_not_secure() {
        let listener = listen("127.0.0.1:0".parse().expect("address")).expect("listener");
        let address = listener.local_addr().expect("address").expect("TCP");
        let client = TcpStream::connect(address).await.expect("connect");
        let accepted = listener.accept().await.expect("accept");
        let expected = ConnectionInfo { remote: client.local_addr().expect("address"), local: address, secure: false };
        assert_eq!(accepted.info, expected);
    }
}
