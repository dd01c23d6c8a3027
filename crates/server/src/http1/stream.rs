//! A client's socket as hyper sees it, with what hyper cannot do: answer plain requests where their heads are read ([`crate::http1::plain`]), notice
//! ambiguous framing ([`crate::http1::framing`]), write informational responses ([`larder_message::interim`]), say why a head is refused
//! ([`crate::http1::refusal`]), give up on a client that takes nothing ([`crate::connection::stall`]), and drain a connection that is closed
//! while its client sends.
//!
//! hyper asks for bytes when it has a request to read, so that is when heads are looked at here. Once it has flushed a response and waits for
//! the client ([`crate::connection::activity`]), it has nothing left to write about the request before; only then is anything written past it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::handler::{Handler, refuse_unread};
use crate::connection::linger::drain_connection;
use crate::connection::peer::Peer;
use crate::connection::sniff::FirstBytes;
use crate::connection::stall::WriteDeadline;
use crate::http1::framing::FramingWatch;
use crate::http1::head::HeadBuffer;
use crate::http1::plain::Handover;
use crate::http1::refusal::replacement_for;
use crate::http1::write::DirectWriter;
use crate::listener::socket::Socket;
use crate::request::faults::FramingFaults;
use crate::request::guard::HeadLimits;
use larder_config::ServerOptions;
use larder_message::problem::Problem;

const LATE: Problem = Problem::refusal(StatusCode::REQUEST_TIMEOUT, "The request's head did not arrive in time.");

/// See the module's page.
pub(crate) struct ClientStream<H: Handler> {
    pub(crate) handler: H,
    /// Only `Drop` takes it.
    pub(crate) socket: Option<Socket>,
    pub(crate) peer: Peer,
    pub(crate) heads: HeadBuffer,
    pub(crate) reader: Reader,
    pub(crate) limits: HeadLimits,
    /// Not once another protocol follows.
    framing: Option<FramingWatch>,
    /// Written past hyper.
    pub(crate) direct: DirectWriter<H::Body>,
    /// Whether a response is being written past hyper.
    pub(crate) answering: bool,
    /// The answer to the request that was read past hyper, until its response is there.
    pub(crate) waiting: Option<H::Waiting>,
    /// Whether that request was a GET.
    pub(crate) is_get: bool,
    /// Takes a response to the service that hyper calls.
    pub(crate) handover: Handover<H::Body>,
    /// A refusal has been written in place of hyper's: whatever hyper still writes is dropped.
    refused: bool,
    /// Content has broken its framing, so nothing behind it can be read in one way only.
    broken: bool,
    deadline: WriteDeadline,
    /// Bytes have arrived since the last response.
    pub(crate) unanswered: bool,
    peer_closed: bool,
    /// The client has said that it sends no more, while hyper answered.
    end_seen: bool,
    /// A response past hyper ended before its end.
    given_up: bool,
}

/// Which reader takes the next bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// This stream: the next bytes are a head, which may be that of a plain request.
    Here,
    /// Nobody: the last response has been written, and hyper gets the end of the connection.
    Nobody,
    /// hyper, which has a request with so many bytes of content still to come.
    HyperFor { content: u64 },
    /// hyper, to the end of the connection.
    Hyper,
}

impl<H: Handler> ClientStream<H> {
    pub(crate) fn new(socket: Socket, first: &FirstBytes, peer: Peer, handler: H, options: &ServerOptions) -> Self {
        let reader = if H::ANSWERS_PLAIN { Reader::Here } else { Reader::Hyper };
        Self {
            handler,
            socket: Some(socket),
            peer,
            heads: HeadBuffer::beginning_with(first.as_slice()),
            reader,
            limits: HeadLimits::of(options),
            framing: Some(FramingWatch::default()),
            direct: DirectWriter::default(),
            answering: false,
            waiting: None,
            is_get: false,
            handover: Handover::default(),
            refused: false,
            broken: false,
            deadline: WriteDeadline::new(options.write_timeout),
            unanswered: !first.as_slice().is_empty(),
            peer_closed: false,
            end_seen: false,
            given_up: false,
        }
    }

    fn socket(&mut self) -> io::Result<Pin<&mut Socket>> {
        self.socket.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Finishes what is being written past hyper.
    pub(crate) fn poll_direct(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(socket) = self.socket.as_mut() else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        if let Err(error) = ready!(self.direct.poll(socket, &mut self.deadline, cx)) {
            self.give_up();
            return Poll::Ready(Err(error));
        }
        if std::mem::take(&mut self.answering) {
            self.peer.activity().response_ended();
            self.peer.activity().flushed();
            self.peer.set_answering(false);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends a response before its end. hyper takes the connection for idle, and would have it shut down in good order once the rest is written.
    pub(crate) fn give_up(&mut self) {
        self.waiting = None;
        self.direct = DirectWriter::default();
        self.given_up = true;
    }

    /// Whether hyper is about to refuse a head by itself. A refusal of our own is queued then, and hyper's must not be written.
    fn replaces(&mut self, bytes: &[u8]) -> bool {
        if self.framing.is_some()
            && !self.refused
            && self.peer.activity().is_between_responses()
            && let Some(problem) = replacement_for(bytes)
        {
            self.direct.queue(refuse_unread(&self.handler, self.peer.info(), problem));
            self.refused = true;
        }
        self.refused
    }

    /// Reads the next bytes for hyper. None at the end.
    fn poll_for_hyper(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.reader == (Reader::HyperFor { content: 0 })
            && !self.heads.has_head()
            && !self.refused
            && self.peer.activity().is_between_responses()
        {
            self.reader = Reader::Here;
        }
        if self.reader == Reader::Here {
            ready!(self.poll_answers(cx))?;
        }
        if self.reader == Reader::Nobody {
            return Poll::Ready(Ok(()));
        }
        let is_head = self.heads.has_head();
        let max = match self.reader {
            Reader::HyperFor { content: 0 } if !is_head => return self.poll_whether_gone(cx),
            Reader::HyperFor { content } if !is_head => content,
            _ => u64::MAX,
        };
        let max = usize::try_from(max).unwrap_or(usize::MAX).min(buf.remaining());
        let pending = self.heads.pending();
        let given = if pending.is_empty() {
            ready!(poll_read_up_to(self.socket()?, cx, buf, max))?
        } else {
            let given = pending.len().min(max);
            buf.put_slice(&pending[..given]);
            self.heads.advance(given);
            given
        };
        if let Reader::HyperFor { content } = &mut self.reader
            && !is_head
        {
            *content -= given as u64;
        }
        Poll::Ready(Ok(()))
    }

    /// While hyper answers, it reads to learn whether the client is still there. Bytes that arrive meanwhile wait here.
    fn poll_whether_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.heads.is_empty() && ready!(self.poll_read_heads(cx))? == 0 {
            if std::mem::replace(&mut self.end_seen, true) {
                return Poll::Ready(Ok(()));
            }
            // hyper reads before it asks for the answer, which may be there already, and gives it up at the end.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Notes what is wrong with these bytes, and returns how many of them hyper may read.
    fn watch(&mut self, bytes: &[u8]) -> usize {
        self.unanswered = true;
        self.peer.activity().byte_received();
        if self.peer.is_switched() {
            // Another protocol follows.
            self.framing = None;
        }
        let Some(framing) = &mut self.framing else { return bytes.len() };
        let good = framing.inspect(bytes);
        let faults = framing.faults();
        if faults != FramingFaults::default() {
            self.peer.set_faults(faults);
        }
        self.broken |= good < bytes.len();
        good
    }
}

// Nothing in it is pinned in place.
impl<H: Handler> Unpin for ClientStream<H> {}

impl<H: Handler> AsyncRead for ClientStream<H> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.broken {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buf.filled().len();
        ready!(this.poll_for_hyper(cx, buf))?;
        match &buf.filled()[before..] {
            [] => this.peer_closed = true,
            bytes => match this.watch(bytes) {
                0 => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                good => buf.set_filled(before + good),
            },
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
        ready!(this.poll_direct(cx))?;
        this.unanswered = false;
        if this.replaces(bufs.first().map_or(&[], |first| first)) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let polled = this.socket()?.poll_write_vectored(cx, bufs);
        this.deadline.watch(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes when it has nothing left to write, and the outbox is open only until a response begins. So informational responses are
    /// written here.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_direct(cx))?;
        this.direct.queue(this.peer.outbox().take());
        ready!(this.poll_direct(cx))?;
        let polled = this.socket()?.poll_flush(cx);
        ready!(this.deadline.watch(polled, cx))?;
        this.peer.activity().flushed();
        if this.reader == (Reader::HyperFor { content: 0 }) && !this.heads.is_empty() && this.peer.activity().is_between_responses() {
            // hyper could not use these bytes when they were read, so nothing but this makes it read again.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.given_up {
            // A response that was cut off must not look complete.
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_direct(cx))?;
        let polled = this.socket()?.poll_shutdown(cx);
        this.deadline.watch(polled, cx)
    }
}

impl<H: Handler> Drop for ClientStream<H> {
    fn drop(&mut self) {
        let Some(mut socket) = self.socket.take() else { return };
        if self.deadline.is_over() {
            // After an orderly close, the bytes that the client did not take would stay in the kernel's memory for as long again.
            socket.reset_on_drop();
            return;
        }
        if self.peer.is_late() && self.unanswered {
            write_timeout_reply(&mut socket, &self.peer, &self.handler);
        }
        if self.peer.activity().is_between_responses() {
            // A response that was cut off must not look complete.
            socket.end_without_waiting();
        }
        // A client that has sent all the content it announced has nothing more to send.
        let is_sending = self.framing.as_ref().is_some_and(FramingWatch::is_in_content);
        if (self.peer.lingers() || is_sending)
            && !self.peer_closed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(drain_connection(socket, self.peer.clone()));
        }
    }
}

fn poll_read_up_to(socket: Pin<&mut Socket>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, max: usize) -> Poll<io::Result<usize>> {
    let before = buf.filled().len();
    if max == buf.remaining() {
        ready!(socket.poll_read(cx, buf))?;
        return Poll::Ready(Ok(buf.filled().len() - before));
    }
    let mut part = ReadBuf::new(buf.initialize_unfilled_to(max));
    ready!(socket.poll_read(cx, &mut part))?;
    let read = part.filled().len();
    buf.advance(read);
    Poll::Ready(Ok(read))
}

/// Answers a connection whose first bytes did not tell its protocol in time.
pub(crate) fn reply_timeout<H: Handler>(socket: &mut Socket, first: &FirstBytes, peer: &Peer, handler: &H) {
    if !first.as_slice().is_empty() {
        write_timeout_reply(socket, peer, handler);
    }
}

/// Writes 408 if it fits at once: the client has had its time, so nothing waits for it.
fn write_timeout_reply<H: Handler>(socket: &mut Socket, peer: &Peer, handler: &H) {
    socket.write_without_waiting(&refuse_unread(handler, peer.info(), LATE));
}
