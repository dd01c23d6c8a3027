//! An open connection to an origin: counted while it is open, and marked, so that a failure on a reused connection can be told from one on a
//! fresh connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::observe::InFlight;

/// The marks of one of hyper's connections that the one safe retry needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionMark(Arc<Marks>);

#[derive(Debug, Default)]
struct Marks {
    answered: AtomicBool,
    silent: AtomicBool,
}

impl ConnectionMark {
    /// A response came on it: it is a reused connection from now on.
    pub(crate) fn answered(&self) {
        self.0.answered.store(true, Ordering::Relaxed);
    }

    /// Whether a response has come on it.
    pub(crate) fn has_answered(&self) -> bool {
        self.0.answered.load(Ordering::Relaxed)
    }

    /// Whether not a single byte came since the last write.
    pub(crate) fn is_silent(&self) -> bool {
        self.0.silent.load(Ordering::Relaxed)
    }

    /// Whether it had answered before, and then not with a single byte since the last write.
    pub(crate) fn died_idle(&self) -> bool {
        self.has_answered() && self.is_silent()
    }
}

/// An open connection to an origin.
pub(crate) struct UpstreamStream {
    stream: TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>,
    mark: ConnectionMark,
    _open: InFlight,
}

impl UpstreamStream {
    /// A fresh connection, counted while it is open.
    pub(super) fn new(stream: MaybeHttpsStream<TokioIo<TcpStream>>, open: InFlight) -> Self {
        Self { stream: TokioIo::new(stream), mark: ConnectionMark::default(), _open: open }
    }

    pub(crate) fn mark(&self) -> ConnectionMark {
        self.mark.clone()
    }
}

impl Connection for UpstreamStream {
    fn connected(&self) -> Connected {
        self.stream.inner().connected().extra(self.mark.clone())
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.mark.0.silent.store(false, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.mark.0.silent.store(true, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.mark.0.silent.store(true, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
