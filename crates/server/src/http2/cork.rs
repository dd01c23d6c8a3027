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

use bytes::{Buf, BytesMut};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::linger::drain_connection;
use crate::connection::misuse::{Misuse, Misuses};
use crate::connection::peer::Peer;
use crate::connection::sniff::FirstBytes;
use crate::connection::stall::WriteDeadline;
use crate::http2::limits::{CALM_DOWN, FrameLimits};
use crate::listener::socket::Socket;

/// Bytes that are kept back on one connection.
const MAX_CORKED: usize = 64 * 1024;
/// Bytes of one write that are copied to be kept back. More are written from where they are, behind what is kept back.
const MAX_COPIED: usize = 8 * 1024;
/// Bytes of room that a connection keeps for the next time.
const KEPT_ROOM: usize = 16 * 1024;
/// Slices of one write to the socket.
const MAX_SLICES: usize = 16;

/// Writes that are kept back.
#[derive(Debug)]
struct Buffer {
    bytes: BytesMut,
    /// The socket has taken bytes, and may still have to send some of them.
    unflushed: bool,
    deadline: WriteDeadline,
}

impl Buffer {
    fn new(write_timeout: Duration) -> Self {
        Self { bytes: BytesMut::new(), unflushed: false, deadline: WriteDeadline::new(write_timeout) }
    }

    /// Takes some of these bytes, and says how many.
    fn poll_write<S: AsyncWrite + Unpin>(&mut self, socket: &mut S, bufs: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        if total <= MAX_COPIED && self.bytes.len() + total <= MAX_CORKED {
            bufs.iter().for_each(|buf| self.bytes.extend_from_slice(buf));
            return Poll::Ready(Ok(total));
        }
        loop {
            let written = ready!(self.poll_through(socket, bufs, cx))?;
            if written > 0 {
                return Poll::Ready(Ok(written));
            }
        }
    }

    /// Writes everything that is kept back.
    fn poll_uncork<S: AsyncWrite + Unpin>(&mut self, socket: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.bytes.is_empty() {
            ready!(self.poll_through(socket, &[], cx))?;
        }
        if self.bytes.capacity() > KEPT_ROOM {
            self.bytes = BytesMut::new();
        }
        if self.unflushed {
            let polled = Pin::new(socket).poll_flush(cx);
            ready!(self.deadline.watch(polled, cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// One write of what is kept back and of `more` behind it. How much of the latter was written.
    fn poll_through<S: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        more: &[IoSlice<'_>],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        slices[0] = IoSlice::new(&self.bytes);
        let filled = slices.iter_mut().skip(1).zip(more).map(|(slice, buf)| *slice = *buf).count() + 1;
        let slices = &slices[usize::from(self.bytes.is_empty())..filled];
        let polled = Pin::new(socket).poll_write_vectored(cx, slices);
        let written = ready!(self.deadline.watch(polled, cx))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.unflushed = true;
        let of_kept = written.min(self.bytes.len());
        self.bytes.advance(of_kept);
        Poll::Ready(Ok(written - of_kept))
    }
}

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
    /// Looks at bytes that the client has sent. One that has reached a limit is told so before the connection ends.
    fn look_at(&mut self, received: &[u8]) -> io::Result<()> {
        let Err(_limit) = self.limits.received(received) else { return Ok(()) };
        let info = self.peer.info();
        self.misuses.tell(Misuse::Flood, info.remote, info.local);
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
            shared.limits.sent(&buf[..taken]);
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

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    /// Takes so many bytes a write, and notes each write.
    #[derive(Default)]
    struct Socket {
        room: usize,
        writes: Vec<Vec<u8>>,
    }

    impl AsyncWrite for Socket {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(mut self: Pin<&mut Self>, _: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            if self.room == 0 {
                return Poll::Pending;
            }
            let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).take(self.room).collect();
            self.writes.push(all);
            Poll::Ready(Ok(self.writes.last().map_or(0, Vec::len)))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn write(buffer: &mut Buffer, socket: &mut Socket, bytes: &[u8]) -> Poll<usize> {
        buffer
            .poll_write(socket, &[IoSlice::new(bytes)], &mut Context::from_waker(Waker::noop()))
            .map(|written| written.expect("no failure"))
    }

    fn uncork(buffer: &mut Buffer, socket: &mut Socket) -> Poll<()> {
        buffer.poll_uncork(socket, &mut Context::from_waker(Waker::noop())).map(|result| result.expect("no failure"))
    }

    #[tokio::test]
    async fn small_writes_go_out_as_one() {
        let (mut buffer, mut socket) = (Buffer::new(TIMEOUT), Socket { room: usize::MAX, ..Socket::default() });
        for part in ["a", "bc", "def"] {
            assert_eq!(write(&mut buffer, &mut socket, part.as_bytes()), Poll::Ready(part.len()));
        }
        assert!(socket.writes.is_empty());
        assert_eq!(uncork(&mut buffer, &mut socket), Poll::Ready(()));
        assert_eq!(uncork(&mut buffer, &mut socket), Poll::Ready(()));
        assert_eq!(socket.writes, [b"abcdef"]);
    }

    #[tokio::test]
    async fn a_large_write_takes_along_what_was_kept_back() {
        let (mut buffer, mut socket) = (Buffer::new(TIMEOUT), Socket { room: usize::MAX, ..Socket::default() });
        let large = vec![b'x'; MAX_COPIED + 1];
        assert_eq!(write(&mut buffer, &mut socket, b"head"), Poll::Ready(4));
        assert_eq!(write(&mut buffer, &mut socket, &large), Poll::Ready(large.len()));
        assert_eq!(socket.writes, [[&b"head"[..], &large].concat()]);
    }

    #[tokio::test]
    async fn no_more_is_kept_back_than_is_allowed() {
        let (mut buffer, mut socket) = (Buffer::new(TIMEOUT), Socket::default());
        let piece = vec![b'x'; MAX_COPIED];
        while write(&mut buffer, &mut socket, &piece).is_ready() {}
        assert_eq!(buffer.bytes.len(), MAX_CORKED);
        assert_eq!(uncork(&mut buffer, &mut socket), Poll::Pending);
        socket.room = usize::MAX;
        assert_eq!(write(&mut buffer, &mut socket, &piece), Poll::Ready(MAX_COPIED));
        assert_eq!(socket.writes.concat().len(), MAX_CORKED + MAX_COPIED);
        assert_eq!(uncork(&mut buffer, &mut socket), Poll::Ready(()));
        assert!(buffer.bytes.capacity() <= KEPT_ROOM, "an idle connection keeps little");
    }

    #[tokio::test]
    async fn bytes_go_out_in_order_however_few_are_taken_at_a_time() {
        let (mut buffer, mut socket) = (Buffer::new(TIMEOUT), Socket { room: 7, ..Socket::default() });
        let large: Vec<u8> = (0..=255).cycle().take(MAX_COPIED + 100).collect();
        let mut sent = Vec::new();
        for part in [&b"some bytes"[..], &large, b"others"] {
            let mut rest = part;
            while let Poll::Ready(written) = write(&mut buffer, &mut socket, rest) {
                rest = &rest[written..];
                if rest.is_empty() {
                    break;
                }
            }
            sent.extend_from_slice(part);
        }
        assert_eq!(uncork(&mut buffer, &mut socket), Poll::Ready(()));
        assert_eq!(socket.writes.concat(), sent);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_noticed_where_bytes_are_kept_back() {
        let (mut buffer, mut socket) = (Buffer::new(TIMEOUT), Socket::default());
        assert_eq!(write(&mut buffer, &mut socket, b"a"), Poll::Ready(1));
        assert_eq!(uncork(&mut buffer, &mut socket), Poll::Pending);
        tokio::time::advance(TIMEOUT + Duration::from_millis(2)).await;
        let failed = buffer.poll_uncork(&mut socket, &mut Context::from_waker(Waker::noop()));
        assert!(matches!(failed, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut));
        assert!(buffer.deadline.is_over());
    }
}
