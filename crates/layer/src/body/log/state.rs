//! The pieces of a body log and the positions of its readers; `elsewhere` has those that are in what a tier has.

mod elsewhere;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use larder_store::StoredBody;
use tokio::time::Instant;

use super::remote::Remote;
use super::{InFlight, Item, LEAD, MAX_STALL, WINDOW};
use crate::clock::timer_now;
use crate::error::BodyError;

/// Frames shorter than this are joined, in bytes: each would keep the read buffer that it is a slice of, and an element of the log.
const SMALL: usize = 4 * 1024;

/// See [`super`].
#[derive(Debug)]
pub(super) struct State {
    pieces: VecDeque<Piece>,
    /// Number of `pieces[0]`, counted from the start of the body.
    first: usize,
    /// Bytes of the body before them.
    dropped: u64,
    /// Total bytes of the pieces.
    pub(super) held: u64,
    pub(super) keeping: bool,
    /// What of the body a tier has.
    pub(super) remote: Option<Remote>,
    /// The stored body, which replaces the pieces once it is committed.
    stored: Option<StoredBody>,
    pub(super) end: Option<End>,
    /// One slot a reader; slots are reused.
    pub(super) readers: Vec<Option<ReaderPosition>>,
    /// When the last reader went, while the body arrives.
    pub(super) left: Option<Instant>,
    writer: Option<Waker>,
    /// Woken when the last reader goes.
    pub(super) leaving: Option<Waker>,
    /// When the writer began to wait for room while a reader waited for the writer.
    held_up_since: Option<Instant>,
}

/// One frame, or several small ones joined.
#[derive(Debug)]
enum Piece {
    Frame(Bytes),
    Small(BytesMut),
}

/// A reader's position.
#[derive(Debug)]
pub(super) struct ReaderPosition {
    /// The current piece, and the bytes of it that the reader has taken.
    next: usize,
    within: usize,
    /// Total bytes that the reader has taken.
    taken: u64,
    /// When it last took something, if there is more for it to take.
    idle_since: Instant,
    /// Total time that others have waited while this reader was behind.
    held_up: Duration,
    gave_trailers: bool,
    waker: Option<Waker>,
}

/// Where a reader goes on.
#[derive(Debug)]
pub(super) enum Next {
    Here(Poll<Option<Result<Item, BodyError>>>),
    /// At this byte of what a tier has.
    Elsewhere(Remote, u64),
}

#[derive(Clone, Debug)]
pub(super) enum End {
    Complete(Option<Arc<HeaderMap>>),
    Broken(BodyError),
}

impl Default for State {
    fn default() -> Self {
        Self {
            pieces: VecDeque::new(),
            first: 0,
            dropped: 0,
            held: 0,
            keeping: true,
            remote: None,
            stored: None,
            end: None,
            readers: Vec::new(),
            left: None,
            writer: None,
            leaving: None,
            held_up_since: None,
        }
    }
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Frame(frame) => frame,
            Self::Small(small) => small,
        }
    }

    fn from(&self, start: usize) -> Bytes {
        match self {
            Self::Frame(frame) => frame.slice(start..),
            // Another small frame may be joined to it.
            Self::Small(small) => Bytes::copy_from_slice(&small[start..]),
        }
    }

    /// Joins a small frame to the small ones before it.
    fn join(&mut self, frame: &[u8]) {
        if let Self::Frame(before) = self {
            *self = Self::Small(BytesMut::from(&before[..]));
        }
        if let Self::Small(small) = self {
            small.extend_from_slice(frame);
        }
    }
}

impl State {
    pub(super) fn of_stored(body: StoredBody) -> Self {
        let end = Some(End::Complete(body.trailers().cloned().map(Arc::new)));
        Self { stored: Some(body), end, ..Self::default() }
    }

    pub(super) fn push(&mut self, frame: Bytes) {
        self.held += frame.len() as u64;
        let last = self.last();
        for position in self.readers.iter_mut().flatten().filter(|position| position.next == last) {
            position.idle_since = timer_now();
        }
        match self.pieces.back_mut().filter(|piece| frame.len() < SMALL && piece.bytes().len() < SMALL) {
            None => self.pieces.push_back(Piece::Frame(frame)),
            Some(piece) => {
                let before = piece.bytes().len();
                piece.join(&frame);
                for position in self.readers.iter_mut().flatten().filter(|position| position.next == last) {
                    (position.next, position.within) = (last - 1, before);
                }
            }
        }
    }

    /// Number of the next piece to be written.
    fn last(&self) -> usize {
        self.first + self.pieces.len()
    }

    pub(super) fn frames(&self) -> Vec<Bytes> {
        self.pieces.iter().map(|piece| piece.from(0)).collect()
    }

    pub(super) fn go_on_in(&mut self, body: StoredBody, in_flight: &InFlight) {
        self.stored = Some(body);
        self.drop_pieces(in_flight);
    }

    fn drop_pieces(&mut self, in_flight: &InFlight) {
        (self.first, self.pieces) = (self.last(), VecDeque::new());
        self.dropped += self.held;
        in_flight.take_off(std::mem::take(&mut self.held));
    }

    pub(super) fn join(&mut self) -> Option<usize> {
        if !self.keeping || matches!(self.end, Some(End::Broken(_))) {
            return None;
        }
        let (idle_since, held_up) = (timer_now(), Duration::ZERO);
        let position = Some(ReaderPosition { next: 0, within: 0, taken: 0, idle_since, held_up, gave_trailers: false, waker: None });
        match self.readers.iter().position(Option::is_none) {
            Some(slot) => {
                self.readers[slot] = position;
                Some(slot)
            }
            None => {
                self.readers.push(position);
                Some(self.readers.len() - 1)
            }
        }
    }

    pub(super) fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_readers() {
            return Poll::Ready(());
        }
        if !self.leaving.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.leaving = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    pub(super) fn has_readers(&self) -> bool {
        self.readers.iter().any(Option::is_some)
    }

    /// Notes that the client of this reader takes something.
    pub(super) fn note_progress(&mut self, slot: usize) {
        self.readers.get_mut(slot).into_iter().flatten().for_each(|position| position.idle_since = timer_now());
    }

    /// Notes that the last reader went.
    pub(super) fn note_left(&mut self) {
        if self.end.is_none() {
            self.left = Some(timer_now());
        }
    }

    pub(super) fn wake_readers(&mut self) {
        self.readers.iter_mut().flatten().filter_map(|position| position.waker.take()).for_each(Waker::wake);
    }

    pub(super) fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// The next step for the reader in this slot.
    pub(super) fn poll_next(&mut self, slot: usize, cx: &mut Context<'_>) -> Next {
        let Some(Some(position)) = self.readers.get_mut(slot) else {
            return Next::Here(Poll::Ready(Some(Err(BodyError::Outrun))));
        };
        position.idle_since = timer_now();
        if let Some(remote) = self.remote.as_ref().filter(|_| position.taken < self.dropped) {
            return Next::Elsewhere(remote.clone(), position.taken);
        }
        let piece = match &self.stored {
            Some(body) => body.rest_of_segment(position.taken),
            None => self.pieces.get(position.next.wrapping_sub(self.first)).map(|piece| piece.from(position.within)),
        };
        if let Some(piece) = piece {
            position.taken += piece.len() as u64;
            (position.next, position.within) = (position.next + 1, 0);
            return Next::Here(Poll::Ready(Some(Ok(Item::Data(piece)))));
        }
        Next::Here(match &self.end {
            None => {
                position.waker = Some(cx.waker().clone());
                // From now on the readers behind it hold it up.
                self.wake_writer();
                Poll::Pending
            }
            Some(End::Broken(error)) => Poll::Ready(Some(Err(error.clone()))),
            Some(End::Complete(Some(trailers))) if !std::mem::replace(&mut position.gave_trailers, true) => {
                Poll::Ready(Some(Ok(Item::Trailers(HeaderMap::clone(trailers)))))
            }
            Some(End::Complete(_)) => Poll::Ready(None),
        })
    }

    /// Drops pieces that the log need not hold: in a window those that all readers have taken, otherwise those that a tier has.
    pub(super) fn trim(&mut self, in_flight: &InFlight) {
        if self.keeping && self.remote.is_none() {
            return;
        }
        let (is_full, mut freed) = (in_flight.is_full(), 0);
        let slowest = if self.keeping { self.slowest_here() } else { self.slowest() };
        let slowest = slowest.unwrap_or(self.last());
        while let Some(piece) = self.pieces.front() {
            let length = piece.bytes().len() as u64;
            let is_droppable = match &self.remote {
                Some(remote) if self.keeping => {
                    let is_wanted = self.first >= slowest && self.held <= WINDOW && !is_full && self.end.is_none();
                    self.dropped + length <= remote.length && !is_wanted
                }
                _ => !self.keeping && self.first < slowest,
            };
            if !is_droppable {
                break;
            }
            self.pieces.pop_front();
            (self.first, self.dropped, self.held, freed) = (self.first + 1, self.dropped + length, self.held - length, freed + length);
        }
        in_flight.take_off(freed);
        if self.writer.is_some() && self.has_room(in_flight) {
            self.wake_writer();
        }
    }

    /// Whether the window has room.
    pub(super) fn has_room(&self, in_flight: &InFlight) -> bool {
        match self.is_awaited() {
            // One read from the origin at a time.
            _ if in_flight.is_full() => self.held == 0,
            true => self.held < LEAD,
            false => self.held < WINDOW,
        }
    }

    /// Whether some reader has taken everything.
    fn is_awaited(&self) -> bool {
        let last = self.last();
        self.readers.iter().flatten().any(|position| position.next >= last)
    }

    /// Notes that the writer waits for room.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>) {
        self.writer = Some(cx.waker().clone());
        self.held_up_since = if self.is_awaited() { self.held_up_since.or_else(|| Some(timer_now())) } else { None };
    }

    fn behind(&mut self) -> impl Iterator<Item = &mut ReaderPosition> {
        let last = self.last();
        self.readers.iter_mut().flatten().filter(move |position| position.next < last)
    }

    /// Time that the slowest readers have left, while others wait for them.
    pub(super) fn stall_left(&mut self) -> Duration {
        if !self.is_awaited() {
            return MAX_STALL;
        }
        let slowest = self.slowest();
        let used = self.behind().filter(|position| Some(position.next) == slowest).map(|position| position.held_up).max();
        MAX_STALL.saturating_sub(used.unwrap_or_default())
    }

    /// The same of the readers that read the pieces.
    fn slowest_here(&self) -> Option<usize> {
        self.readers.iter().flatten().filter(|position| position.taken >= self.dropped).map(|position| position.next).min()
    }

    /// Number of the piece that the slowest reader is in.
    fn slowest(&self) -> Option<usize> {
        self.readers.iter().flatten().map(|position| position.next).min()
    }

    /// Adds the time of the wait that ends now to all readers that were behind.
    pub(super) fn charge(&mut self) {
        if let Some(since) = self.held_up_since.take() {
            let waited = since.elapsed();
            self.behind().for_each(|position| position.held_up += waited);
        }
    }

    /// Cuts off readers that have used up their time, the slowest first, until there is room for the others.
    pub(super) fn cut_off_behind(&mut self, in_flight: &InFlight) {
        while self.is_awaited() && !self.has_room(in_flight) {
            let slowest = self.slowest();
            let slots = self
                .readers
                .iter_mut()
                .filter(|slot| slot.as_ref().is_some_and(|position| Some(position.next) == slowest && position.held_up >= MAX_STALL));
            if slots.map(|slot| *slot = None).count() == 0 {
                return;
            }
            self.trim(in_flight);
        }
    }

    /// The body that only its readers keep in memory: its address, its length, and for how long none of them has taken anything.
    pub(super) fn departed(&self) -> Option<(usize, u64, Duration)> {
        let body = self.stored.as_ref().filter(|body| !body.is_kept())?;
        let idle = self.readers.iter().flatten().map(|position| position.idle_since.elapsed()).min();
        Some((body.address()?, body.len(), idle.unwrap_or(Duration::MAX)))
    }

    /// Cuts all readers off and drops the body.
    pub(super) fn let_go(&mut self) {
        self.readers.fill_with(|| None);
        (self.stored, self.keeping) = (None, false);
    }

    /// Cuts off readers that have taken nothing for too long of pieces that are held for readers only, and drops those pieces.
    pub(super) fn cut_off_stalled(&mut self, in_flight: &InFlight) {
        // The pieces of a body that may still be stored are held for that.
        if self.held == 0 || (self.keeping && self.end.is_none()) {
            return;
        }
        let last = self.last();
        for slot in &mut self.readers {
            if slot.as_ref().is_some_and(|position| position.next < last && position.idle_since.elapsed() >= MAX_STALL) {
                *slot = None;
            }
        }
        if !self.has_readers() {
            self.keeping = false;
            self.drop_pieces(in_flight);
        }
        self.trim(in_flight);
        if !self.has_readers() {
            self.wake_writer();
        }
    }
}
