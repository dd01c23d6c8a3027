//! A client's socket as hyper's HTTP/2 sees it. Small writes are gathered, and go out together once the connection has been driven.
//!
//! The HTTP/2 library writes and flushes before each frame of data, which would be one call of the system a response, however many of them
//! are there at the same time.
//!
//! 1. [`CorkedStream`] keeps small writes back, and says that they are flushed.
//! 2. [`Corked`] drives hyper's connection, and then writes what was kept back ([`Cork::poll_uncork`]). So nothing waits for another event.
//! 3. What is kept back is bounded: beyond, and with a large write, it goes out at once. A client that takes nothing is noticed there.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::linger::drain_connection;
use crate::connection::misuse::{Misuse, Misuses};
use crate::connection::peer::Peer;
use crate::connection::sniff::FirstBytes;
use crate::http2::kept_back::Buffer;
use crate::http2::limits::{CALM_DOWN, FrameLimits, Limit};
use crate::listener::socket::Socket;

/// The socket of one connection with what is kept back of its writes. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Cork(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    /// Only `Drop` takes it.
    socket: Option<Socket>,
    peer: Peer,
    buffer: Buffer,
    limits: FrameLimits,
    misuses: Arc<Misuses>,
    /// Writing failed when nobody was there to be told.
    failed: Option<io::Error>,
    peer_closed: bool,
}

impl Cork {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes everything that is kept back. A failure is hyper's to hear of, so it is polled again.
    fn poll_uncork(&self, cx: &mut Context<'_>) {
        let shared = &mut *self.lock();
        let Some(socket) = &mut shared.socket else { return };
        match shared.buffer.poll_uncork(socket, cx) {
            Poll::Ready(Ok(())) => shared.peer.activity().flushed(),
            Poll::Ready(Err(error)) => {
                shared.failed = Some(error);
                cx.waker().wake_by_ref();
            }
            Poll::Pending => {}
        }
    }
}

impl Shared {
    fn parts(&mut self) -> io::Result<(&mut Socket, &mut Buffer)> {
        match (self.failed.take(), &mut self.socket) {
            (Some(error), _) => Err(error),
            (None, Some(socket)) => Ok((socket, &mut self.buffer)),
            (None, None) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Shared {
    fn tell(&self, limit: Limit) {
        let (info, misuse) = (self.peer.info(), if limit == Limit::Streams { Misuse::Streams } else { Misuse::Flood });
        self.misuses.tell(misuse, info.remote, info.local);
    }

    /// Looks at bytes that the client has sent. One that has reached a limit is told so before the connection ends.
    fn look_at(&mut self, received: &[u8]) -> io::Result<()> {
        let Err(limit) = self.limits.received(received) else { return Ok(()) };
        self.tell(limit);
        self.buffer.bytes.extend_from_slice(&CALM_DOWN);
        Err(io::Error::other("more frames than an HTTP/2 client may send"))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(mut socket) = self.socket.take() else { return };
        if self.buffer.deadline.is_over() {
            // After an orderly close, the bytes that the client did not take would stay in the kernel's memory for as long again.
            socket.reset_on_drop();
            return;
        }
        if self.peer.activity().is_between_responses() {
            // A response that was cut off must not look complete.
            socket.end_without_waiting();
        }
        if self.peer.lingers()
            && !self.peer_closed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(drain_connection(socket, self.peer.clone()));
        }
    }
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct CorkedStream {
    cork: Cork,
    /// The bytes that told the protocol, as far as hyper has not read them.
    first: BytesMut,
}

impl CorkedStream {
    pub(crate) fn new(
        socket: Socket,
        first: &FirstBytes,
        peer: Peer,
        write_timeout: Duration,
        limits: FrameLimits,
        misuses: Arc<Misuses>,
    ) -> Self {
        let buffer = Buffer::new(write_timeout);
        let shared = Shared { socket: Some(socket), peer, buffer, limits, misuses, failed: None, peer_closed: false };
        Self { cork: Cork(Arc::new(Mutex::new(shared))), first: first.as_slice().into() }
    }

    /// Its cork, for [`Corked`].
    pub(crate) fn cork(&self) -> Cork {
        self.cork.clone()
    }
}

impl AsyncRead for CorkedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            let length = this.first.len().min(buf.remaining());
            let piece = this.first.split_to(length);
            buf.put_slice(&piece);
            return Poll::Ready(this.cork.lock().look_at(&piece));
        }
        let shared = &mut *this.cork.lock();
        let before = buf.filled().len();
        let (socket, _) = shared.parts()?;
        ready!(Pin::new(socket).poll_read(cx, buf))?;
        shared.peer_closed |= buf.filled().len() == before;
        Poll::Ready(shared.look_at(&buf.filled()[before..]))
    }
}

impl AsyncWrite for CorkedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let shared = &mut *self.cork.lock();
        let (socket, buffer) = shared.parts()?;
        let written = ready!(buffer.poll_write(socket, bufs, cx))?;
        let mut rest = written;
        for buf in bufs {
            let taken = rest.min(buf.len());
            if let Some(limit) = shared.limits.sent(&buf[..taken]) {
                shared.tell(limit);
            }
            rest -= taken;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.cork.lock().parts().map(|_| ()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = &mut *self.cork.lock();
        let (socket, buffer) = shared.parts()?;
        ready!(buffer.poll_uncork(socket, cx))?;
        let polled = Pin::new(socket).poll_shutdown(cx);
        buffer.deadline.watch(polled, cx)
    }
}

pin_project! {
    /// A connection whose small writes go out when it has been polled.
    pub(crate) struct Corked<C> {
        #[pin]
        connection: C,
        cork: Cork,
    }
}

impl<C> Corked<C> {
    pub(crate) fn new(connection: C, cork: Cork) -> Self {
        Self { connection, cork }
    }

    /// The connection.
    pub(crate) fn connection(self: Pin<&mut Self>) -> Pin<&mut C> {
        self.project().connection
    }
}

impl<C: Future> Future for Corked<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let this = self.project();
        let polled = this.connection.poll(cx);
        this.cork.poll_uncork(cx);
        polled
    }
}
