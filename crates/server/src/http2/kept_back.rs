//! Small writes of one connection that are kept back: a bounded buffer before a socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

use crate::connection::stall::WriteDeadline;

/// Bytes that are kept back on one connection.
pub(crate) const MAX_CORKED: usize = 64 * 1024;
/// Bytes of one write that are copied to be kept back. More are written from where they are, behind what is kept back.
const MAX_COPIED: usize = 8 * 1024;
/// Bytes of room that a connection keeps for the next time.
const KEPT_ROOM: usize = 16 * 1024;
/// Slices of one write to the socket.
const MAX_SLICES: usize = 16;

/// Writes that are kept back.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) bytes: BytesMut,
    /// The socket has taken bytes, and may still have to send some of them.
    unflushed: bool,
    pub(crate) deadline: WriteDeadline,
}

impl Buffer {
    pub(crate) fn new(write_timeout: Duration) -> Self {
        Self { bytes: BytesMut::new(), unflushed: false, deadline: WriteDeadline::new(write_timeout) }
    }

    /// Takes some of these bytes, and says how many.
    pub(crate) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        bufs: &[IoSlice<'_>],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
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
    pub(crate) fn poll_uncork<S: AsyncWrite + Unpin>(&mut self, socket: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
