//! Writes past hyper: local replies, informational responses, and hits, whose bodies are written from the memory they are stored in.

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
}

impl<B> Default for DirectWriter<B> {
    fn default() -> Self {
        Self { head: Vec::new(), head_written: 0, pieces: VecDeque::new(), body: None, unflushed: false }
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

    /// Queues a response: `head` appends its head and returns its body. Everything before has been written. `None` if `head` has no response.
    pub(crate) fn queue_response(&mut self, head: impl FnOnce(&mut Vec<u8>) -> Option<B>) -> Option<()> {
        debug_assert!(self.is_done(), "responses are written one after the other");
        self.body = Some(head(&mut self.head)?);
        Some(())
    }

    /// Writes everything queued.
    pub(crate) fn poll(&mut self, socket: &mut Socket, deadline: &mut WriteDeadline, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_done() {
            self.gather(cx)?;
            if self.head_written == self.head.len() && self.pieces.is_empty() {
                self.head.clear();
                self.head_written = 0;
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
        if self.unflushed {
            let polled = Pin::new(socket).poll_flush(cx);
            ready!(deadline.watch(polled, cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes as much from the body as fits into one write.
    fn gather(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(body) = &mut self.body else { return Ok(()) };
        let mut gathered: usize = self.pieces.iter().map(Bytes::len).sum();
        while self.pieces.len() < MAX_PIECES && gathered < MAX_GATHERED {
            match Pin::new(&mut *body).poll_frame(cx) {
                // A body of announced length has no trailers.
                Poll::Ready(Some(Ok(frame))) => {
                    let piece = frame.into_data().ok().filter(|piece| !piece.is_empty());
                    gathered += piece.as_ref().map_or(0, Bytes::len);
                    self.pieces.extend(piece);
                }
                Poll::Ready(None) => {
                    self.body = None;
                    break;
                }
                Poll::Ready(Some(Err(_))) | Poll::Pending => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(())
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
