//! A body made of several pieces: bytes at hand, and ranges of bodies that are stored or arrive. Long ones are read through the log, so that they count
//! for the budget while a slow client keeps them in memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use larder_semantics::range::ByteRange;
use larder_store::{StoredBody, StoredPart};

use super::cache_body::{MAX_COPIED, Polled, poll_pending};
use super::log::{InFlight, LogReader};

/// See [`self`].
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    pieces: VecDeque<Piece>,
    /// `None` once no piece needs it any more.
    sources: Vec<Option<Source>>,
    /// Bytes that were copied out of long bodies.
    copied: u64,
    left: u64,
}

/// One piece, in the order in which the client gets them.
#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    Range(Range),
}

/// Bytes of a body that is read.
#[derive(Debug)]
struct Range {
    source: usize,
    start: u64,
    /// Bytes to read and drop before those that are wanted; `None` before the first is read.
    skip: Option<u64>,
    left: Option<u64>,
}

/// A body that ranges are read of.
#[derive(Debug)]
struct Source {
    /// The stored body's address.
    address: Option<usize>,
    reader: LogReader,
}

impl Pieces {
    /// Bytes left.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Adds bytes at hand.
    pub(crate) fn push_bytes(&mut self, bytes: Bytes) {
        self.left += bytes.len() as u64;
        if !bytes.is_empty() {
            self.pieces.push_back(Piece::Bytes(bytes));
        }
    }

    /// Adds `start..end` of a stored body.
    pub(crate) fn push_stored(&mut self, body: &StoredBody, in_flight: &Arc<InFlight>, start: u64, end: u64) {
        let address = body.address();
        if address.is_none() {
            return body.slice(start, end).into_iter().for_each(|slice| self.push_bytes(slice));
        }
        if self.copied + (end - start) <= MAX_COPIED {
            self.copied += end - start;
            return self.push_bytes(body.copied(start, end));
        }
        let known = self.sources.iter().position(|source| source.as_ref().is_some_and(|source| source.address == address));
        let source = known.unwrap_or_else(|| self.add_source(address, LogReader::of_stored(body.clone(), in_flight)));
        self.push_range(source, start, end);
    }

    /// Adds a range of a stored part, which has all of it.
    pub(crate) fn push_part(&mut self, part: &StoredPart, in_flight: &Arc<InFlight>, range: ByteRange) {
        let bodies = part.bodies(range).into_iter().flatten();
        bodies.for_each(|(body, within)| self.push_stored(body, in_flight, within.start, within.end));
    }

    /// Adds `start..end` of a body that arrives.
    pub(crate) fn push_arriving(&mut self, reader: LogReader, start: u64, end: u64) {
        let source = self.add_source(None, reader);
        self.push_range(source, start, end);
    }

    fn add_source(&mut self, address: Option<usize>, reader: LogReader) -> usize {
        self.sources.push(Some(Source { address, reader }));
        self.sources.len() - 1
    }

    fn push_range(&mut self, source: usize, start: u64, end: u64) {
        self.left += end - start;
        self.pieces.push_back(Piece::Range(Range { source, start, skip: None, left: Some(end - start) }));
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Polled {
        loop {
            let data = match self.pieces.front_mut() {
                None => return Poll::Ready(None),
                Some(Piece::Bytes(bytes)) => std::mem::take(bytes),
                Some(Piece::Range(range)) => {
                    let Some(Some(Source { reader, .. })) = self.sources.get_mut(range.source) else { return Poll::Ready(None) };
                    let skip = range.skip.get_or_insert_with(|| range.start - reader.seek(range.start));
                    match ready!(poll_pending(reader, skip, &mut range.left, false, cx)) {
                        Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                        Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                        None => Bytes::new(),
                    }
                }
            };
            let is_over = data.is_empty() || matches!(self.pieces.front(), Some(Piece::Bytes(_)));
            if is_over {
                self.pieces.pop_front();
                self.drop_sources();
            }
            if !data.is_empty() {
                self.left -= data.len() as u64;
                self.note_progress();
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }

    /// Drops readers that no piece needs any more.
    fn drop_sources(&mut self) {
        for (index, source) in self.sources.iter_mut().enumerate() {
            if source.is_some() && !self.pieces.iter().any(|piece| matches!(piece, Piece::Range(range) if range.source == index)) {
                *source = None;
            }
        }
    }

    /// A client that takes one piece after the other has not stalled, although most of its readers wait for their turns.
    fn note_progress(&self) {
        self.sources.iter().flatten().for_each(|source| source.reader.note_progress());
    }
}
