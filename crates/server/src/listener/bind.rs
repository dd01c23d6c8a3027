//! Listening sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::TcpListener;

use crate::listener::incoming::Listener;

/// Connections that may wait to be accepted.
pub(crate) const BACKLOG: i32 = 1024;
/// TCP keepalive: a client that vanished (a pulled cable, a firewall that dropped its state) is noticed after `PROBE_AFTER` and three probes.
/// Most firewalls drop the state of an idle connection after some minutes.
const PROBE_AFTER: Duration = Duration::from_secs(60);
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// An address that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// Binds one address and listens. Has to be called inside a runtime.
pub(crate) fn listen(address: SocketAddr) -> Result<Listener, BindError> {
    open(address).map(Listener::Tcp).map_err(|source| BindError { address, source })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A restart must not wait for old connections' TIME_WAIT; on Linux two live listeners on one address still exclude each other.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    set_options(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Takes over a socket that somebody else listens on.
pub(crate) fn adopt(listener: std::net::TcpListener) -> io::Result<Listener> {
    let socket = Socket::from(listener);
    socket.set_nonblocking(true)?;
    set_options(&socket)?;
    TcpListener::from_std(socket.into()).map(Listener::Tcp)
}

/// Both are inherited by accepted sockets, which saves a call for each.
fn set_options(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY).with_retries(PROBES))
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;
    use crate::listener::transport::Transport;

    #[tokio::test]
    async fn a_client_that_vanished_is_noticed() {
        let listener = listen("127.0.0.1:0".parse().expect("address")).expect("listener");
        let _client = tokio::net::TcpStream::connect(listener.local_addr().expect("address").expect("TCP")).await.expect("connect");
        let Transport::Tcp(accepted) = listener.accept().await.expect("accept").transport else { panic!("TCP") };
        let socket = SockRef::from(&accepted);
        assert!(socket.keepalive().expect("option") && socket.tcp_nodelay().expect("option"));
        let times = [socket.tcp_keepalive_time().expect("option"), socket.tcp_keepalive_interval().expect("option")];
        assert_eq!((times, socket.tcp_keepalive_retries().expect("option")), ([PROBE_AFTER, PROBE_EVERY], PROBES));
    }
}
