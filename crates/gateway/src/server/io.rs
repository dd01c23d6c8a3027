//! A client's socket as hyper sees it, with what hyper cannot do: notice ambiguous framing ([`super::framing`]), write informational
//! responses ([`super::early`]), say why a head is refused ([`super::refusal`]), give up on a client that takes nothing
//! ([`super::stall`]), and say goodbye so that it is heard.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::framing::{FramingWatch, Suspicion};
use super::handler::{Handler, OwnAnswer};
use super::linger::linger_on_connection;
use super::peer::Peer;
use super::refusal::in_our_words;
use super::sniff::FirstBytes;
use super::stall::WriteDeadline;
use crate::problem::Problem;

const LATE: Problem = Problem::refusal(StatusCode::REQUEST_TIMEOUT, "The request's head did not arrive in time.");

pub(super) struct ClientStream<H: Handler> {
    handler: H,
    /// Only `Drop` takes it.
    stream: Option<TcpStream>,
    peer: Peer,
    first: FirstBytes,
    first_given: usize,
    /// Not for HTTP/2, where frames carry the lengths.
    framing: Option<FramingWatch>,
    /// What is being written beside what hyper writes.
    own: Vec<u8>,
    own_written: usize,
    /// The last word has been said: what hyper still writes is not.
    refused: bool,
    deadline: WriteDeadline,
    /// Bytes came since the last answer.
    unanswered: bool,
    peer_closed: bool,
}

impl<H: Handler> ClientStream<H> {
    pub(super) fn new(stream: TcpStream, first: FirstBytes, peer: Peer, handler: H, write_timeout: Duration) -> Self {
        let framing = (!first.is_http2()).then(FramingWatch::default);
        Self {
            handler,
            stream: Some(stream),
            peer,
            first,
            first_given: 0,
            framing,
            own: Vec::new(),
            own_written: 0,
            refused: false,
            deadline: WriteDeadline::new(write_timeout),
            unanswered: false,
            peer_closed: false,
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn watch(&mut self, bytes: &[u8]) {
        self.unanswered = true;
        if let Some(framing) = &mut self.framing {
            framing.see(bytes);
            let suspicion = framing.suspicion();
            if suspicion != Suspicion::default() {
                self.peer.suspect(suspicion);
            }
        }
    }

    /// Finishes what has been begun to be said beside hyper.
    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.own_written < self.own.len() {
            let Some(stream) = self.stream.as_mut() else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
            let polled = Pin::new(stream).poll_write(cx, &self.own[self.own_written..]);
            match ready!(self.deadline.watch(polled, cx))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.own_written += written,
            }
        }
        self.own.clear();
        self.own_written = 0;
        Poll::Ready(Ok(()))
    }

    /// Whether hyper is about to refuse a head by itself. Then that has been said in our words, and is not to be written.
    fn replaces(&mut self, bytes: &[u8]) -> bool {
        if self.framing.is_some()
            && !self.refused
            && self.peer.turn().is_between_answers()
            && let Some(problem) = in_our_words(bytes)
        {
            self.own = problem.to_http1();
            self.refused = true;
            self.handler.answered_before(&OwnAnswer::unread(self.peer.address().ip(), problem));
        }
        self.refused
    }
}

// Nothing in it is pinned in place.
impl<H: Handler> Unpin for ClientStream<H> {}

impl<H: Handler> AsyncRead for ClientStream<H> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let waiting = &this.first.as_slice()[this.first_given..];
        if waiting.is_empty() {
            ready!(this.stream()?.poll_read(cx, buf))?;
        } else {
            let given = waiting.len().min(buf.remaining());
            buf.put_slice(&waiting[..given]);
            this.first_given += given;
        }
        match &buf.filled()[before..] {
            [] => this.peer_closed = true,
            bytes => this.watch(bytes),
        }
        Poll::Ready(Ok(()))
    }
}

impl<H: Handler> AsyncWrite for ClientStream<H> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_own(cx))?;
        this.unanswered = false;
        if this.replaces(bufs.first().map_or(&[], |first| first)) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let polled = this.stream()?.poll_write_vectored(cx, bufs);
        this.deadline.watch(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes when it has nothing left to write, and the outbox is open only while a response has not begun: between the two
    /// lies the gap for informational responses.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_own(cx))?;
        this.own = this.peer.outbox().take();
        ready!(this.poll_own(cx))?;
        ready!(this.stream()?.poll_flush(cx))?;
        this.peer.turn().flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_own(cx))?;
        this.stream()?.poll_shutdown(cx)
    }
}

impl<H: Handler> Drop for ClientStream<H> {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        if self.deadline.is_over() {
            // What it did not take would stay in the kernel's memory for as long again, if the connection were closed in order.
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            return;
        }
        if self.peer.is_late() && self.unanswered {
            say_late(&stream, &self.peer, &self.handler);
        }
        if self.peer.lingers()
            && !self.peer_closed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(linger_on_connection(stream, self.peer.clone()));
        }
    }
}

/// Answers a connection whose first bytes did not make a protocol in time.
pub(super) fn answer_late<H: Handler>(stream: &TcpStream, first: &FirstBytes, peer: &Peer, handler: &H) {
    if !first.as_slice().is_empty() {
        say_late(stream, peer, handler);
    }
}

/// Whether it can be written at once or not: this client has had its time.
fn say_late<H: Handler>(stream: &TcpStream, peer: &Peer, handler: &H) {
    let _ = stream.try_write(&LATE.to_http1());
    handler.answered_before(&OwnAnswer::unread(peer.address().ip(), LATE));
}
