//! A connection whose bytes are there from the beginning, watched as those of a client are. It stays open behind them.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

use crate::http1::framing::FramingWatch;
use crate::request::faults::FramingFaults;

/// Gives hyper one piece after the other, up to a byte that breaks the framing of content. What is written is dropped.
pub(super) struct WatchedInput<'a> {
    pieces: std::slice::Iter<'a, &'a [u8]>,
    piece: &'a [u8],
    watch: FramingWatch,
    faults: &'a Cell<FramingFaults>,
    broken: bool,
}

impl<'a> WatchedInput<'a> {
    /// `faults` is told what is wrong with the heads so far.
    pub(super) fn new(pieces: &'a [&'a [u8]], faults: &'a Cell<FramingFaults>) -> Self {
        Self { pieces: pieces.iter(), piece: &[], watch: FramingWatch::default(), faults, broken: false }
    }
}

impl Read for WatchedInput<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        while self.piece.is_empty() {
            let Some(piece) = self.pieces.next() else { return Poll::Pending };
            self.piece = piece;
        }
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let (given, rest) = self.piece.split_at(self.piece.len().min(buf.remaining()));
        self.piece = rest;
        let good = self.watch.inspect(given);
        self.faults.set(self.watch.faults());
        self.broken = good < given.len();
        if good == 0 {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        buf.put_slice(&given[..good]);
        Poll::Ready(Ok(()))
    }
}

impl Write for WatchedInput<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
