//! Writes past hyper: local replies, informational responses, and responses to plain requests, whose bodies are
//! written from the memory they are stored in.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hyper::body::Body;
use tokio::io::AsyncWrite;

use crate::connection::stall::WriteDeadline;
use crate::listener::socket::Socket;

/// Pieces of a body in one write, beside the head. A mebibyte has four.
const MAX_PIECES: usize = 15;
/// Bytes of a body that are gathered before they are written. The access log counts them as sent, so it is ahead of the client by no more.
const MAX_GATHERED: usize = 1 << 20;

/// Bytes to be written: a head, or a whole message, and the body behind it.
#[derive(Debug)]
pub(crate) struct DirectWriter<B> {
    head: Vec<u8>,
    head_written: usize,
    pieces: VecDeque<Bytes>,
    body: Option<B>,
    /// The socket has taken everything, and may still have to send some of it.
    unflushed: bool,
    /// Bytes of the body that are still to be gathered.
    left: u64,
}

impl<B> Default for DirectWriter<B> {
    fn default() -> Self {
        Self { head: Vec::new(), head_written: 0, pieces: VecDeque::new(), body: None, left: 0, unflushed: false }
    }
}

impl<B: Body<Data = Bytes> + Unpin> DirectWriter<B> {
    /// Whether everything has been written.
    pub(crate) fn is_done(&self) -> bool {
        self.head.is_empty() && self.pieces.is_empty() && self.body.is_none()
    }

    /// Queues these bytes. Everything before has been written.
    pub(crate) fn queue(&mut self, bytes: Vec<u8>) {
        // Usually they are empty, and then the buffer keeps its capacity.
        if !bytes.is_empty() {
            self.head = bytes;
        }
    }

    /// Where the head of a response is written to. Everything before has been written.
    pub(crate) fn head(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.body.is_none() && self.pieces.is_empty(), "responses are written one after the other");
        &mut self.head
    }

    /// Queues the body of the response whose head has been written. Its length is announced.
    pub(crate) fn queue_body(&mut self, body: B) {
        self.left = body.size_hint().exact().unwrap_or(0);
        self.body = (self.left > 0).then_some(body);
    }

    /// Whether everything that is there of the body has been written, and more has to come.
    pub(crate) fn waits_for_body(&self) -> bool {
        self.body.is_some() && self.head.is_empty() && self.pieces.is_empty()
    }

    /// Writes everything queued.
    pub(crate) fn poll(&mut self, socket: &mut Socket, deadline: &mut WriteDeadline, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_done() {
            let gathered = self.gather(cx)?;
            if self.head_written == self.head.len() && self.pieces.is_empty() {
                self.head.clear();
                self.head_written = 0;
                if gathered.is_pending() {
                    ready!(self.poll_flush(socket, deadline, cx))?;
                    return Poll::Pending;
                }
                continue;
            }
            let mut slices = [IoSlice::new(&[]); MAX_PIECES + 1];
            slices[0] = IoSlice::new(&self.head[self.head_written..]);
            for (slice, piece) in slices[1..].iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece);
            }
            let filled = &slices[..=self.pieces.len()];
            let polled = Pin::new(&mut *socket).poll_write_vectored(cx, filled);
            match ready!(deadline.watch(polled, cx))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.advance(written),
            }
            self.unflushed = true;
        }
        self.poll_flush(socket, deadline, cx)
    }

    /// Has the socket send what it has taken.
    fn poll_flush(&mut self, socket: &mut Socket, deadline: &mut WriteDeadline, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unflushed {
            let polled = Pin::new(socket).poll_flush(cx);
            ready!(deadline.watch(polled, cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes as much from the body as fits into one write. Pending where more has to come.
    fn gather(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        let Some(body) = &mut self.body else { return Ok(Poll::Ready(())) };
        let mut gathered: usize = self.pieces.iter().map(Bytes::len).sum();
        while self.pieces.len() < MAX_PIECES && gathered < MAX_GATHERED {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Neither trailers nor anything beyond the announced length have a place in the message.
                    let Ok(mut piece) = frame.into_data() else { continue };
                    piece.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.left -= piece.len() as u64;
                    gathered += piece.len();
                    self.pieces.extend(Some(piece).filter(|piece| !piece.is_empty()));
                    if self.left == 0 {
                        self.body = None;
                        break;
                    }
                }
                // A message that is shorter than announced ends with its connection.
                Poll::Ready(None | Some(Err(_))) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        Ok(Poll::Ready(()))
    }

    fn advance(&mut self, written: usize) {
        let of_head = written.min(self.head.len() - self.head_written);
        self.head_written += of_head;
        let mut rest = written - of_head;
        while let Some(piece) = self.pieces.front_mut() {
            if rest < piece.len() {
                piece.advance(rest);
                return;
            }
            rest -= piece.len();
            self.pieces.pop_front();
        }
    }
}
