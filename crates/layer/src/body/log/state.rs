//! What a log holds, and where its readers are.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use larder_store::StoredBody;
use tokio::time::Instant;

use super::{InFlight, Item, LEAD, PATIENCE, WINDOW};
use crate::clock::timer_now;
use crate::error::BodyError;

/// Frames below this, in bytes, are put together: each would keep the read buffer that it is a slice of, and a place in the log.
const SMALL: usize = 4 * 1024;

/// See [`super`].
#[derive(Debug)]
pub(super) struct State {
    pieces: VecDeque<Piece>,
    /// The number of `pieces[0]`.
    first: usize,
    /// Bytes in the pieces.
    pub(super) held: u64,
    pub(super) keeping: bool,
    /// In place of the pieces, once it is stored.
    stored: Option<StoredBody>,
    pub(super) end: Option<End>,
    /// Slots are reused; a reader knows its own.
    pub(super) readers: Vec<Option<ReaderPosition>>,
    writer: Option<Waker>,
    /// Since when the writer has been waiting while a reader waits for it.
    held_up_since: Option<Instant>,
}

/// One frame, or several small ones.
#[derive(Debug)]
enum Piece {
    Frame(Bytes),
    Small(BytesMut),
}

/// How far a reader has come.
#[derive(Debug)]
pub(super) struct ReaderPosition {
    /// The piece it is in, and how much of that it has.
    next: usize,
    within: usize,
    /// Bytes it has altogether.
    taken: u64,
    /// Since when it has left what there is for it.
    idle_since: Instant,
    /// For how long others have waited while it was behind.
    held_up: Duration,
    told_trailers: bool,
    waker: Option<Waker>,
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
            held: 0,
            keeping: true,
            stored: None,
            end: None,
            readers: Vec::new(),
            writer: None,
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
            // More may come behind it.
            Self::Small(small) => Bytes::copy_from_slice(&small[start..]),
        }
    }

    /// Takes a small frame in, behind other small ones.
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
        for place in self.readers.iter_mut().flatten().filter(|place| place.next == last) {
            place.idle_since = timer_now();
        }
        match self.pieces.back_mut().filter(|piece| frame.len() < SMALL && piece.bytes().len() < SMALL) {
            None => self.pieces.push_back(Piece::Frame(frame)),
            Some(piece) => {
                let before = piece.bytes().len();
                piece.join(&frame);
                for place in self.readers.iter_mut().flatten().filter(|place| place.next == last) {
                    (place.next, place.within) = (last - 1, before);
                }
            }
        }
    }

    /// The number of the piece that is not there yet.
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
        in_flight.take_off(std::mem::take(&mut self.held));
    }

    pub(super) fn join(&mut self) -> Option<usize> {
        if !self.keeping {
            return None;
        }
        let (idle_since, held_up) = (timer_now(), Duration::ZERO);
        let place = Some(ReaderPosition { next: 0, within: 0, taken: 0, idle_since, held_up, told_trailers: false, waker: None });
        match self.readers.iter().position(Option::is_none) {
            Some(slot) => {
                self.readers[slot] = place;
                Some(slot)
            }
            None => {
                self.readers.push(place);
                Some(self.readers.len() - 1)
            }
        }
    }

    pub(super) fn has_readers(&self) -> bool {
        self.readers.iter().any(Option::is_some)
    }

    pub(super) fn wake_readers(&mut self) {
        self.readers.iter_mut().flatten().filter_map(|place| place.waker.take()).for_each(Waker::wake);
    }

    pub(super) fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// What comes next for the reader in this slot.
    pub(super) fn poll_next(&mut self, slot: usize, cx: &mut Context<'_>) -> Poll<Option<Result<Item, BodyError>>> {
        let Some(Some(place)) = self.readers.get_mut(slot) else {
            return Poll::Ready(Some(Err(BodyError::Outrun)));
        };
        place.idle_since = timer_now();
        let piece = match &self.stored {
            Some(body) => body.rest_of_segment(place.taken),
            None => self.pieces.get(place.next.wrapping_sub(self.first)).map(|piece| piece.from(place.within)),
        };
        if let Some(piece) = piece {
            place.taken += piece.len() as u64;
            (place.next, place.within) = (place.next + 1, 0);
            return Poll::Ready(Some(Ok(Item::Data(piece))));
        }
        match &self.end {
            None => {
                place.waker = Some(cx.waker().clone());
                // From now on it is held up by those behind it.
                self.wake_writer();
                Poll::Pending
            }
            Some(End::Broken(error)) => Poll::Ready(Some(Err(error.clone()))),
            Some(End::Complete(Some(trailers))) if !std::mem::replace(&mut place.told_trailers, true) => {
                Poll::Ready(Some(Ok(Item::Trailers(HeaderMap::clone(trailers)))))
            }
            Some(End::Complete(_)) => Poll::Ready(None),
        }
    }

    /// Drops what all readers have passed. Only in a window.
    pub(super) fn trim(&mut self, in_flight: &InFlight) {
        if self.keeping {
            return;
        }
        let last = self.last();
        let slowest = self.slowest().unwrap_or(last);
        let mut freed = 0;
        while self.first < slowest
            && let Some(piece) = self.pieces.pop_front()
        {
            freed += piece.bytes().len() as u64;
            self.first += 1;
        }
        self.held -= freed;
        in_flight.take_off(freed);
        if self.writer.is_some() && self.has_room(in_flight) {
            self.wake_writer();
        }
    }

    /// Whether a window takes more.
    pub(super) fn has_room(&self, in_flight: &InFlight) -> bool {
        match self.is_awaited() {
            // One read from the origin after the other.
            _ if in_flight.is_full() => self.held == 0,
            true => self.held < LEAD,
            false => self.held < WINDOW,
        }
    }

    /// Whether a reader has read everything.
    fn is_awaited(&self) -> bool {
        let last = self.last();
        self.readers.iter().flatten().any(|place| place.next >= last)
    }

    /// The writer waits for room.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>) {
        self.writer = Some(cx.waker().clone());
        self.held_up_since = if self.is_awaited() { self.held_up_since.or_else(|| Some(timer_now())) } else { None };
    }

    fn behind(&mut self) -> impl Iterator<Item = &mut ReaderPosition> {
        let last = self.last();
        self.readers.iter_mut().flatten().filter(move |place| place.next < last)
    }

    /// What is left of the patience with the slowest readers, while others wait for them.
    pub(super) fn patience_left(&mut self) -> Duration {
        if !self.is_awaited() {
            return PATIENCE;
        }
        let slowest = self.slowest();
        let used = self.behind().filter(|place| Some(place.next) == slowest).map(|place| place.held_up).max();
        PATIENCE.saturating_sub(used.unwrap_or_default())
    }

    /// The piece that the slowest reader is in.
    fn slowest(&self) -> Option<usize> {
        self.readers.iter().flatten().map(|place| place.next).min()
    }

    /// All that are behind have held up those who wait.
    pub(super) fn charge(&mut self) {
        if let Some(since) = self.held_up_since.take() {
            let waited = since.elapsed();
            self.behind().for_each(|place| place.held_up += waited);
        }
    }

    /// Cuts off who has used up the patience of others, the slowest first, until there is room for those.
    pub(super) fn cut_off_behind(&mut self, in_flight: &InFlight) {
        while self.is_awaited() && !self.has_room(in_flight) {
            let slowest = self.slowest();
            let slots = self
                .readers
                .iter_mut()
                .filter(|slot| slot.as_ref().is_some_and(|place| Some(place.next) == slowest && place.held_up >= PATIENCE));
            if slots.map(|slot| *slot = None).count() == 0 {
                return;
            }
            self.trim(in_flight);
        }
    }

    /// The body that is in memory for its readers alone: where it is, its length, and for how long none of them has taken anything.
    pub(super) fn departed(&self) -> Option<(usize, u64, Duration)> {
        let body = self.stored.as_ref().filter(|body| !body.is_kept())?;
        let idle = self.readers.iter().flatten().map(|place| place.idle_since.elapsed()).min();
        Some((body.address()?, body.len(), idle.unwrap_or(Duration::MAX)))
    }

    /// Cuts all readers off, and lets the body go.
    pub(super) fn let_go(&mut self) {
        self.readers.fill_with(|| None);
        (self.stored, self.keeping) = (None, false);
    }

    /// Cuts off who has taken nothing for too long of what is held for readers alone, and drops it.
    pub(super) fn cut_off_stalled(&mut self, in_flight: &InFlight) {
        // What may still be stored is held for that.
        if self.held == 0 || (self.keeping && self.end.is_none()) {
            return;
        }
        let last = self.last();
        for slot in &mut self.readers {
            if slot.as_ref().is_some_and(|place| place.next < last && place.idle_since.elapsed() >= PATIENCE) {
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
