//! A client's socket, with what is kept back of the writes to it, and what its frames count against.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

use crate::connection::linger::drain_connection;
use crate::connection::misuse::{Misuse, Misuses};
use crate::connection::peer::Peer;
use crate::http2::frames::{Frame, Frames};
use crate::http2::kept_back::Buffer;
use crate::http2::limits::{CALM_DOWN, FrameLimits, Limit};
use crate::listener::socket::Socket;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct CorkedSocket {
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

impl CorkedSocket {
    pub(super) fn new(socket: Socket, peer: Peer, write_timeout: Duration, limits: FrameLimits, misuses: Arc<Misuses>) -> Self {
        let buffer = Buffer::new(write_timeout);
        Self { socket: Some(socket), peer, buffer, limits, misuses, failed: None, peer_closed: false }
    }

    /// The socket and what is kept back for it, unless writing has failed.
    pub(super) fn parts(&mut self) -> io::Result<(&mut Socket, &mut Buffer)> {
        match (self.failed.take(), &mut self.socket) {
            (Some(error), _) => Err(error),
            (None, Some(socket)) => Ok((socket, &mut self.buffer)),
            (None, None) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl CorkedSocket {
    /// Writes everything that is kept back. Pending where that cannot be done, which includes failures: those are hyper's to hear of, so it is polled
    /// again.
    pub(crate) fn poll_uncork(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(socket) = &mut self.socket else { return Poll::Pending };
        match ready!(self.buffer.poll_uncork(socket, cx)) {
            Ok(()) => {
                self.peer.activity().flushed();
                Poll::Ready(())
            }
            Err(error) => {
                self.failed = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// The bytes that are kept back.
    pub(crate) fn kept_back(&mut self) -> &mut BytesMut {
        &mut self.buffer.bytes
    }

    /// The frames that hyper has written.
    pub(crate) fn sent_frames(&self) -> &Frames {
        self.limits.sent_frames()
    }

    pub(super) fn tell(&self, limit: Limit) {
        let (info, misuse) = (self.peer.info(), if limit == Limit::Streams { Misuse::Streams } else { Misuse::Flood });
        self.misuses.tell(misuse, info.remote, info.local);
    }

    /// Looks at bytes that the client has sent. One that has reached a limit is told so before the connection ends.
    fn look_at(&mut self, received: &[u8]) -> io::Result<()> {
        self.limits.received(received).map_err(|limit| self.calm_down(limit))
    }

    /// The client has reached this limit, and is told so. The error that ends the connection.
    pub(crate) fn calm_down(&mut self, limit: Limit) -> io::Error {
        self.tell(limit);
        self.buffer.bytes.extend_from_slice(&CALM_DOWN);
        io::Error::other("more than an HTTP/2 client may send")
    }

    /// Reads from the socket. Nothing at its end.
    pub(super) fn poll_receive(&mut self, first: &mut BytesMut, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if first.is_empty() {
            let (socket, _) = self.parts()?;
            ready!(Pin::new(socket).poll_read(cx, buf))?;
            self.peer_closed |= buf.filled().len() == before;
        } else {
            let piece = first.split_to(first.len().min(buf.remaining()));
            buf.put_slice(&piece);
        }
        Poll::Ready(self.look_at(&buf.filled()[before..]))
    }

    /// Keeps bytes of hyper's back that `put` appends. Returns what it does; `see` is shown each frame that begins there.
    pub(super) fn keep_back(&mut self, put: impl FnOnce(&mut BytesMut) -> usize, see: impl FnMut(&Frame)) -> usize {
        let start = self.buffer.bytes.len();
        let length = put(&mut self.buffer.bytes);
        if let Some(limit) = self.limits.sent(&self.buffer.bytes[start..], see) {
            self.tell(limit);
        }
        length
    }

    /// Hands bytes of hyper's on to the socket, or keeps them back. `see` is shown each frame that begins there.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>], mut see: impl FnMut(&Frame)) -> Poll<io::Result<usize>> {
        let (socket, buffer) = self.parts()?;
        let written = ready!(buffer.poll_write(socket, bufs, cx))?;
        let mut rest = written;
        for buf in bufs {
            let taken = rest.min(buf.len());
            if let Some(limit) = self.limits.sent(&buf[..taken], &mut see) {
                self.tell(limit);
            }
            rest -= taken;
        }
        Poll::Ready(Ok(written))
    }
}

impl Drop for CorkedSocket {
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
