//! One end of a client's connection, under TLS or not. The rest of the crate does not know which.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::listener::transport::Transport;

/// One end of a client's connection.
#[derive(Debug)]
pub(crate) enum Socket {
    /// Not encrypted.
    Plain(Transport),
    /// TLS, whose handshake is done. In a box, for it is many times as large.
    Tls(Box<TlsStream<Transport>>),
}

impl Socket {
    /// Writes as much as fits without waiting, and drops the rest: for a last message on a connection that is closed in any case.
    pub(crate) fn write_without_waiting(&mut self, bytes: &[u8]) {
        match self {
            Self::Plain(transport) => drop(transport.try_write(bytes)),
            Self::Tls(stream) => {
                let (_, session) = stream.get_mut();
                let _ = session.writer().write(bytes);
                send_records(stream);
            }
        }
    }

    /// Tells the client that nothing was cut off (close_notify, RFC 8446 §6.1), if that fits without waiting.
    pub(crate) fn end_without_waiting(&mut self) {
        if let Self::Tls(stream) = self {
            stream.get_mut().1.send_close_notify();
            send_records(stream);
        }
    }

    /// Resets the connection when the socket is dropped, so that the system keeps nothing of what was not sent.
    pub(crate) fn reset_on_drop(&self) {
        match self {
            Self::Plain(transport) => transport.reset_on_drop(),
            Self::Tls(stream) => stream.get_ref().0.reset_on_drop(),
        }
    }
}

fn send_records(stream: &mut TlsStream<Transport>) {
    let (transport, session) = stream.get_mut();
    while session.wants_write() && session.write_tls(&mut Unwaiting(transport)).is_ok_and(|written| written > 0) {}
}

/// Writes what fits.
struct Unwaiting<'a>(&'a Transport);

impl Write for Unwaiting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(transport) => Pin::new(transport).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(transport) => Pin::new(transport).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(transport) => Pin::new(transport).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Under TLS a write may leave records in the session, which only this sends. Without TLS it costs nothing.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(transport) => Pin::new(transport).poll_flush(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(transport) => Pin::new(transport).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}
