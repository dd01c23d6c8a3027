//! A client's socket as hyper sees it, with the three things hyper cannot do: notice ambiguous framing ([`super::framing`]), write
//! informational responses ([`super::early`]), and say goodbye so that it is heard.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::framing::FramingWatch;
use super::peer::Peer;
use super::sniff::FirstBytes;
use crate::problem::Problem;

const LATE: Problem = Problem::refusal(StatusCode::REQUEST_TIMEOUT, "The request's head did not arrive in time.");
/// How long, and for how many bytes, a client that still sends is listened to after the last answer.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 1024 * 1024;

pub(super) struct ClientStream {
    /// Only `Drop` takes it.
    stream: Option<TcpStream>,
    peer: Peer,
    first: FirstBytes,
    first_given: usize,
    /// Not for HTTP/2, where frames carry the lengths.
    framing: Option<FramingWatch>,
    /// An informational response that is being written.
    early: Vec<u8>,
    early_written: usize,
    /// Bytes came since the last answer.
    unanswered: bool,
    peer_closed: bool,
}

impl ClientStream {
    pub(super) fn new(stream: TcpStream, first: FirstBytes, peer: Peer) -> Self {
        let framing = (!first.is_http2()).then(FramingWatch::default);
        let stream = Some(stream);
        Self { stream, peer, first, first_given: 0, framing, early: Vec::new(), early_written: 0, unanswered: false, peer_closed: false }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn watch(&mut self, bytes: &[u8]) {
        self.unanswered = true;
        if let Some(framing) = &mut self.framing {
            framing.see(bytes);
            if framing.is_ambiguous() {
                self.peer.mark_ambiguous();
            }
        }
    }

    /// Finishes an informational response that has been begun.
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.early_written < self.early.len() {
            let Some(stream) = self.stream.as_mut() else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
            match ready!(Pin::new(stream).poll_write(cx, &self.early[self.early_written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.early_written += written,
            }
        }
        self.early.clear();
        self.early_written = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ClientStream {
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

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_early(cx))?;
        this.unanswered = false;
        this.stream()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_early(cx))?;
        this.unanswered = false;
        this.stream()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes when it has nothing left to write, and the outbox is open only while a response has not begun: between the two
    /// lies the gap for informational responses.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_early(cx))?;
        this.early = this.peer.outbox().take();
        ready!(this.poll_early(cx))?;
        this.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream()?.poll_shutdown(cx)
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        if self.peer.is_late() && self.unanswered {
            // Whether it can be written at once or not: this client has had its time.
            let _ = stream.try_write(&LATE.to_http1());
        }
        if self.peer.lingers()
            && !self.peer_closed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(linger(stream, self.peer.clone()));
        }
    }
}

/// Closing a socket that holds unread bytes resets it, and a reset can overtake the answer that explains the refusal. So the rest of
/// what the client sends is read and forgotten, within bounds (RFC 9112 §9.6). Keeps the connection's slot meanwhile.
async fn linger(mut stream: TcpStream, _peer: Peer) {
    let _ = tokio::time::timeout(LINGER_TIME, async {
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(LINGER_BYTES), &mut tokio::io::sink()).await
    })
    .await;
}

/// Answers a connection whose first bytes did not make a protocol in time.
pub(super) fn answer_late(stream: &TcpStream, first: &FirstBytes) {
    if !first.as_slice().is_empty() {
        let _ = stream.try_write(&LATE.to_http1());
    }
}
