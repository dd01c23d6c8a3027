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

use crate::connection::handler::Handler;
use crate::connection::misuse::Misuses;
use crate::connection::peer::Peer;
use crate::connection::sniff::FirstBytes;
use crate::http2::front::{Front, find_goaway, put_goaway};
use crate::http2::limits::FrameLimits;
use crate::http2::socket::CorkedSocket;
use crate::listener::socket::Socket;

/// The socket of one connection with what is kept back of its writes. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Cork(Arc<Mutex<CorkedSocket>>);

impl Cork {
    fn lock(&self) -> MutexGuard<'_, CorkedSocket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes everything that is kept back. A failure is hyper's to hear of, so it is polled again.
    fn poll_uncork(&self, cx: &mut Context<'_>) {
        let _ = self.lock().poll_uncork(cx);
    }
}

/// See the module's page.
pub(crate) struct CorkedStream<H: Handler> {
    cork: Cork,
    /// The bytes that told the protocol, as far as nobody has read them.
    first: BytesMut,
    /// Answers hits before hyper reads their requests. In a box, for it is many times as large.
    front: Option<Box<Front<H>>>,
}

impl<H: Handler> CorkedStream<H> {
    pub(crate) fn new(
        socket: Socket,
        first: &FirstBytes,
        peer: Peer,
        write_timeout: Duration,
        limits: FrameLimits,
        misuses: Arc<Misuses>,
        front: Option<Front<H>>,
    ) -> Self {
        let shared = CorkedSocket::new(socket, peer, write_timeout, limits, misuses);
        Self { cork: Cork(Arc::new(Mutex::new(shared))), first: first.as_slice().into(), front: front.map(Box::new) }
    }

    /// Its cork, for [`Corked`].
    pub(crate) fn cork(&self) -> Cork {
        self.cork.clone()
    }
}

// Nothing in it is pinned in place.
impl<H: Handler> Unpin for CorkedStream<H> {}

impl<H: Handler> AsyncRead for CorkedStream<H> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shared = &mut *this.cork.lock();
        let Some(front) = &mut this.front else { return shared.poll_receive(&mut this.first, cx, buf) };
        loop {
            front.work(shared, cx)?;
            if front.hand_on(buf) {
                return Poll::Ready(Ok(()));
            }
            if front.is_exhausted() {
                front.replenish();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let before = buf.filled().len();
            let Poll::Ready(received) = shared.poll_receive(&mut this.first, cx, buf) else {
                front.replenish();
                return Poll::Pending;
            };
            received?;
            let passed = match &buf.filled()[before..] {
                [] if front.end() => continue,
                [] => return Poll::Ready(Ok(())),
                bytes => front.take(bytes),
            };
            buf.set_filled(before + passed);
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<H: Handler> AsyncWrite for CorkedStream<H> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let shared = &mut *this.cork.lock();
        let Some(front) = &mut this.front else { return shared.poll_send(cx, bufs, |_| ()) };
        let goaway = if front.answered() > 0 { find_goaway(shared.sent_frames(), bufs) } else { None };
        let polled = match goaway {
            None => shared.poll_send(cx, bufs, |frame| front.sends(frame)),
            Some(0) => {
                // Small as it is, it is kept back whatever else is.
                let answered = front.answered();
                Poll::Ready(Ok(shared.keep_back(|out| put_goaway(out, bufs, answered), |frame| front.sends(frame))))
            }
            Some(before) => shared.poll_send(cx, &beginning(bufs, before), |frame| front.sends(frame)),
        };
        if front.is_due() {
            // The next read brings it.
            cx.waker().wake_by_ref();
        }
        polled
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

/// The first `count` bytes of these.
fn beginning<'b>(bufs: &'b [IoSlice<'_>], count: usize) -> Vec<IoSlice<'b>> {
    let mut left = count;
    let part = |buf: &'b IoSlice<'_>| {
        let taken = left.min(buf.len());
        left -= taken;
        IoSlice::new(&buf[..taken])
    };
    bufs.iter().map(part).collect()
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
