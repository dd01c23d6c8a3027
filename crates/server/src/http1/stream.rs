//! A client's socket as hyper sees it, with what hyper cannot do: answer hits from where their heads are read ([`crate::http1::head`],
//! [`crate::http1::write`]), notice ambiguous framing ([`crate::http1::framing`]), write informational responses ([`larder_message::interim`]), say why a head is
//! refused ([`crate::http1::refusal`]), give up on a client that takes nothing ([`crate::connection::stall`]), and say goodbye so that it is heard.
//!
//! hyper asks for bytes when it has a request to read, so that is when heads are looked at here. It has said all there was to say about
//! the request before once it has flushed and the turn is the client's ([`crate::connection::activity`]); only then is anything written past it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::handler::{Handler, OwnAnswer};
use crate::connection::linger::linger_on_connection;
use crate::connection::peer::Peer;
use crate::connection::sniff::FirstBytes;
use crate::connection::stall::WriteDeadline;
use crate::http1::framing::FramingWatch;
use crate::http1::head::Heads;
use crate::http1::refusal::in_our_words;
use crate::http1::write::Writing;
use crate::listener::socket::Socket;
use crate::request::guard::HeadLimits;
use crate::request::suspicion::Suspicion;
use larder_config::ServerOptions;
use larder_message::problem::Problem;

const LATE: Problem = Problem::refusal(StatusCode::REQUEST_TIMEOUT, "The request's head did not arrive in time.");

/// See the module's page.
pub(crate) struct ClientStream<H: Handler> {
    pub(crate) handler: H,
    /// Only `Drop` takes it.
    pub(crate) socket: Option<Socket>,
    pub(crate) peer: Peer,
    pub(crate) heads: Heads,
    pub(crate) reader: Reader,
    pub(crate) limits: HeadLimits,
    /// Not for HTTP/2, where frames carry the lengths.
    framing: Option<FramingWatch>,
    /// What is being written beside what hyper writes.
    pub(crate) own: Writing<H::Body>,
    /// It is an answer.
    pub(crate) answering: bool,
    /// The last word has been said: what hyper still writes is not.
    refused: bool,
    /// Content has broken its framing: nothing that comes behind can be read in one way only.
    broken: bool,
    deadline: WriteDeadline,
    /// Bytes came since the last answer.
    pub(crate) unanswered: bool,
    peer_closed: bool,
}

/// Who reads what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A head comes, and is looked at here first.
    Here,
    /// hyper has a request, of which so many bytes of content are still to come.
    HyperFor { content: u64 },
    /// hyper, to the end of the connection.
    Hyper,
}

impl<H: Handler> ClientStream<H> {
    pub(crate) fn new(socket: Socket, first: &FirstBytes, peer: Peer, handler: H, options: &ServerOptions) -> Self {
        let framing = (!first.is_http2()).then(FramingWatch::default);
        let reader = if H::HITS && framing.is_some() { Reader::Here } else { Reader::Hyper };
        Self {
            handler,
            socket: Some(socket),
            peer,
            heads: Heads::beginning_with(first.as_slice()),
            reader,
            limits: HeadLimits::of(options),
            framing,
            own: Writing::default(),
            answering: false,
            refused: false,
            broken: false,
            deadline: WriteDeadline::new(options.write_timeout),
            unanswered: !first.as_slice().is_empty(),
            peer_closed: false,
        }
    }

    fn socket(&mut self) -> io::Result<Pin<&mut Socket>> {
        self.socket.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Finishes what has been begun to be said beside hyper.
    pub(crate) fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(socket) = self.socket.as_mut() else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        ready!(self.own.poll(socket, &mut self.deadline, cx))?;
        if std::mem::take(&mut self.answering) {
            self.peer.turn().give();
            self.peer.turn().flushed();
        }
        Poll::Ready(Ok(()))
    }

    /// Whether hyper is about to refuse a head by itself. Then that has been said in our words, and is not to be written.
    fn replaces(&mut self, bytes: &[u8]) -> bool {
        if self.framing.is_some()
            && !self.refused
            && self.peer.turn().is_between_answers()
            && let Some(problem) = in_our_words(bytes)
        {
            self.own.say(problem.to_http1());
            self.refused = true;
            self.handler.answered_before(&OwnAnswer::unread(self.peer.address().ip(), problem));
        }
        self.refused
    }

    /// What hyper gets next. Nothing at the end.
    fn poll_for_hyper(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.reader == (Reader::HyperFor { content: 0 })
            && !self.heads.has_head()
            && !self.refused
            && self.peer.turn().is_between_answers()
        {
            self.reader = Reader::Here;
        }
        if self.reader == Reader::Here {
            ready!(self.poll_answers(cx))?;
        }
        let is_head = self.heads.has_head();
        let most = match self.reader {
            Reader::HyperFor { content: 0 } if !is_head => return self.poll_whether_gone(cx),
            Reader::HyperFor { content } if !is_head => content,
            _ => u64::MAX,
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(buf.remaining());
        let at_hand = self.heads.at_hand();
        let given = if at_hand.is_empty() {
            ready!(poll_read_at_most(self.socket()?, cx, buf, most))?
        } else {
            let given = at_hand.len().min(most);
            buf.put_slice(&at_hand[..given]);
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

    /// While hyper answers it asks whether the client is still there. What else comes meanwhile waits here.
    fn poll_whether_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.heads.is_empty() && ready!(self.poll_heads(cx))? == 0 {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// Notes what is wrong with these bytes, and says how many of them may be read.
    fn watch(&mut self, bytes: &[u8]) -> usize {
        self.unanswered = true;
        self.peer.turn().begin();
        if self.peer.is_switched() {
            // What comes is in another protocol.
            self.framing = None;
        }
        let Some(framing) = &mut self.framing else { return bytes.len() };
        let good = framing.see(bytes);
        let suspicion = framing.suspicion();
        if suspicion != Suspicion::default() {
            self.peer.suspect(suspicion);
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
        ready!(this.poll_own(cx))?;
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

    /// hyper flushes when it has nothing left to write, and the outbox is open only while a response has not begun: between the two
    /// lies the gap for informational responses.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_own(cx))?;
        this.own.say(this.peer.outbox().take());
        ready!(this.poll_own(cx))?;
        ready!(this.socket()?.poll_flush(cx))?;
        this.peer.turn().flushed();
        if this.reader == (Reader::HyperFor { content: 0 }) && !this.heads.is_empty() && this.peer.turn().is_between_answers() {
            // What waits here was read when hyper had no use for it: nothing else makes it ask again.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_own(cx))?;
        this.socket()?.poll_shutdown(cx)
    }
}

impl<H: Handler> Drop for ClientStream<H> {
    fn drop(&mut self) {
        let Some(socket) = self.socket.take() else { return };
        if self.deadline.is_over() {
            // What it did not take would stay in the kernel's memory for as long again, if the connection were closed in order.
            socket.reset_on_drop();
            return;
        }
        if self.peer.is_late() && self.unanswered {
            say_late(&socket, &self.peer, &self.handler);
        }
        // Where all that was announced has come, there is nothing more to be waited for.
        let is_sending = self.framing.as_ref().is_some_and(FramingWatch::is_in_content);
        if (self.peer.lingers() || is_sending)
            && !self.peer_closed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(linger_on_connection(socket, self.peer.clone()));
        }
    }
}

fn poll_read_at_most(socket: Pin<&mut Socket>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, most: usize) -> Poll<io::Result<usize>> {
    let before = buf.filled().len();
    if most == buf.remaining() {
        ready!(socket.poll_read(cx, buf))?;
        return Poll::Ready(Ok(buf.filled().len() - before));
    }
    let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
    ready!(socket.poll_read(cx, &mut part))?;
    let read = part.filled().len();
    buf.advance(read);
    Poll::Ready(Ok(read))
}

/// Answers a connection whose first bytes did not make a protocol in time.
pub(crate) fn answer_late<H: Handler>(socket: &Socket, first: &FirstBytes, peer: &Peer, handler: &H) {
    if !first.as_slice().is_empty() {
        say_late(socket, peer, handler);
    }
}

/// Whether it can be written at once or not: this client has had its time.
fn say_late<H: Handler>(socket: &Socket, peer: &Peer, handler: &H) {
    socket.write_without_waiting(&LATE.to_http1());
    handler.answered_before(&OwnAnswer::unread(peer.address().ip(), LATE));
}
