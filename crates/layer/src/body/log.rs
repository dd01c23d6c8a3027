//! A body while it arrives: one writer, many readers, each at its own place.
//!
//! 1. While the body may still be stored, the log keeps all of it, so that a follower that joins late reads from the start and a slow reader
//!    slows no other reader.
//! 2. Once it is stored ([`LogWriter::stored`]), the readers go on in the stored body, and the log holds nothing.
//! 3. Where it cannot be stored ([`LogWriter::stop_keeping`]), the log becomes a window: what all readers have passed is dropped, and the
//!    writer waits while [`WINDOW`] bytes are unread, or [`LEAD`] while a reader has read them all. So a slow reader does not hold up one
//!    that is ahead.
//! 4. Where a tier takes it while it arrives ([`LogWriter::spool`]), the log holds what is not written there yet and a little more. A reader that is
//!    behind goes on in the tier, also one that joins late, and no reader holds up the writer.
//!
//! A log is also how bodies are read that lie in a tier ([`LogHandle::of_remote`]), and how long stored bodies are read ([`LogReader::of_stored`]):
//! a body that has left the store is in memory for its readers alone.
//!
//! Beyond that the slow readers of a window have [`MAX_STALL`], together and for the whole body: no client can stop another one's download. A reader with
//! no other before it may take its time, unless the budget for all bodies is used up ([`InFlight::look`]).

mod budget;
mod remote;
mod state;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use larder_store::{RemoteBody, StoredBody};

use crate::error::BodyError;
pub(crate) use budget::InFlight;
use remote::{Reading, Remote};
use state::{End, Next, State};

/// Unread bytes at which the writer waits, once the log is a window.
const WINDOW: u64 = 256 * 1024;

/// The same while a reader has read everything.
const LEAD: u64 = 8 * WINDOW;

/// How long readers may hold up others, and how long one may take nothing while the budget is used up.
const MAX_STALL: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Log {
    state: Mutex<State>,
    in_flight: Arc<InFlight>,
}

/// The writing end. Dropped without [`LogWriter::complete`], it breaks the readers off.
#[derive(Debug)]
pub(crate) struct LogWriter(Arc<Log>);

/// One reader's place. Registered from the moment it is made.
#[derive(Debug)]
pub(crate) struct LogReader {
    log: Arc<Log>,
    slot: usize,
    /// What it reads from a tier.
    reading: Option<Reading>,
}

/// Makes new readers while the body is complete from its start.
#[derive(Clone, Debug)]
pub(crate) struct LogHandle(Arc<Log>);

/// The next item for a reader.
#[derive(Debug)]
pub(crate) enum Item {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// An empty log.
pub(crate) fn body_log(in_flight: Arc<InFlight>) -> (LogWriter, LogHandle) {
    let log = Arc::new(Log { state: Mutex::default(), in_flight });
    log.in_flight.register(&log);
    (LogWriter(Arc::clone(&log)), LogHandle(log))
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.in_flight.take_off(self.lock().held);
    }
}

impl LogWriter {
    /// Appends a frame for all readers.
    pub(crate) fn append(&self, frame: Bytes) {
        let mut state = self.0.lock();
        self.0.in_flight.add(frame.len() as u64);
        state.push(frame);
        state.trim(&self.0.in_flight);
        state.wake_readers();
    }

    /// From now on the body is only passed along. No reader can join any more.
    pub(crate) fn stop_keeping(&self) {
        let mut state = self.0.lock();
        state.keeping = false;
        state.trim(&self.0.in_flight);
    }

    /// From now on a tier takes the body, and has nothing of it yet.
    pub(crate) fn spool(&self, body: Arc<dyn RemoteBody>) {
        self.0.lock().remote = Some(Remote::new(body, 0));
    }

    /// So many more bytes of it can be read in the tier.
    pub(crate) fn spooled(&self, bytes: u64) {
        let mut state = self.0.lock();
        state.remote.iter_mut().for_each(|remote| remote.length += bytes);
        state.trim(&self.0.in_flight);
    }

    /// The whole body is stored: readers go on there, and what the log holds is freed.
    pub(crate) fn stored(&self, body: StoredBody) {
        let mut state = self.0.lock();
        state.go_on_in(body, &self.0.in_flight);
        state.wake_readers();
    }

    /// A check whether the body has readers, which outlives the writer.
    pub(crate) fn read(&self) -> impl Fn() -> bool + Send + use<> {
        let log = Arc::downgrade(&self.0);
        move || log.upgrade().is_some_and(|log| log.lock().has_readers())
    }

    /// Waits until there is room. `false`: there are no readers any more, and nothing is kept.
    pub(crate) async fn room(&self) -> bool {
        // Mostly there is, and then no timer is made.
        if let Poll::Ready(room) = poll_fn(|cx| Poll::Ready(self.poll_room(cx))).await {
            return room;
        }
        loop {
            let max_wait = self.0.lock().stall_left();
            let waited = tokio::time::timeout(max_wait, self.room_or_news()).await;
            let mut state = self.0.lock();
            state.charge();
            match waited {
                Ok(Some(room)) => return room,
                // The timer's own wake-up may look like news.
                Ok(None) | Err(_) => state.cut_off_behind(&self.0.in_flight),
            }
        }
    }

    /// As [`Self::poll_room`]; `None` when a reader has come to the end, and begins to be held up.
    async fn room_or_news(&self) -> Option<bool> {
        let mut waited = false;
        poll_fn(|cx| match self.poll_room(cx) {
            Poll::Ready(room) => Poll::Ready(Some(room)),
            Poll::Pending if std::mem::replace(&mut waited, true) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.0.lock();
        if state.keeping {
            return Poll::Ready(true);
        }
        if !state.has_readers() {
            return Poll::Ready(false);
        }
        if state.has_room(&self.0.in_flight) {
            return Poll::Ready(true);
        }
        state.wait(cx);
        Poll::Pending
    }

    /// The frames kept so far, for storage.
    pub(crate) fn frames(&self) -> Vec<Bytes> {
        self.0.lock().frames()
    }

    /// Whether there are readers.
    pub(crate) fn has_readers(&self) -> bool {
        self.0.lock().has_readers()
    }

    /// Waits until there are no readers.
    pub(crate) async fn left(&self) {
        poll_fn(|cx| self.0.lock().poll_left(cx)).await;
    }

    /// For how long there have been no readers; `None` while there are some. Without end where there never were any.
    pub(crate) fn left_for(&self) -> Option<Duration> {
        let state = self.0.lock();
        (!state.has_readers()).then(|| state.left.map_or(Duration::MAX, |left| left.elapsed()))
    }

    /// The body is proven complete.
    pub(crate) fn complete(self, trailers: Option<HeaderMap>) {
        self.end(End::Complete(trailers.map(Arc::new)));
    }

    /// The body broke off: every reader gets the frames before the break, then the error.
    pub(crate) fn break_off(self, error: BodyError) {
        self.end(End::Broken(error));
    }

    fn end(&self, end: End) {
        let mut state = self.0.lock();
        if state.end.is_none() {
            state.end = Some(end);
        }
        state.trim(&self.0.in_flight);
        state.wake_readers();
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.end(End::Broken(BodyError::Abandoned));
    }
}

impl LogHandle {
    /// A body of so many bytes that lies in a tier.
    pub(crate) fn of_remote(body: Arc<dyn RemoteBody>, length: u64, trailers: Option<HeaderMap>, in_flight: &Arc<InFlight>) -> Self {
        let state = Mutex::new(State::of_remote(Remote::new(body, length), trailers));
        Self(Arc::new(Log { state, in_flight: Arc::clone(in_flight) }))
    }

    /// A reader from the first byte; `None` once the start is gone.
    pub(crate) fn reader(&self) -> Option<LogReader> {
        let slot = self.0.lock().join()?;
        Some(LogReader { log: Arc::clone(&self.0), slot, reading: None })
    }
}

impl LogReader {
    /// A reader of a stored body. It is known to the budget, so that it can be cut off once it alone keeps the body in memory.
    pub(crate) fn of_stored(body: StoredBody, in_flight: &Arc<InFlight>) -> Self {
        let mut state = State::of_stored(body);
        let slot = state.join().unwrap_or_default();
        let log = Arc::new(Log { state: Mutex::new(state), in_flight: Arc::clone(in_flight) });
        in_flight.register(&log);
        Self { log, slot, reading: None }
    }

    /// The next item; `None` at the proven end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, BodyError>>> {
        if self.reading.as_ref().is_some_and(|reading| !reading.is_over()) {
            return self.poll_reading(cx);
        }
        self.reading = None;
        let mut state = self.log.lock();
        match state.poll_next(self.slot, cx) {
            Next::Here(polled) => {
                if polled.is_ready() {
                    state.trim(&self.log.in_flight);
                }
                polled
            }
            Next::Elsewhere(remote, offset) => {
                drop(state);
                self.reading = Some(remote.read(offset, &self.log.in_flight));
                self.poll_reading(cx)
            }
        }
    }

    fn poll_reading(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, BodyError>>> {
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let read = ready!(reading.poll(cx));
        Poll::Ready(Some(match read {
            Ok(bytes) => {
                self.log.lock().took(self.slot, bytes.len() as u64);
                Ok(Item::Data(bytes))
            }
            Err(error) => Err(BodyError::Stored(error)),
        }))
    }

    /// Goes on at this byte, before or after the present one, where the body is stored; otherwise as near before it as a tier has the body, and never
    /// backwards. The byte at which it goes on.
    pub(crate) fn seek(&mut self, offset: u64) -> u64 {
        self.log.lock().seek(self.slot, offset)
    }

    /// The client takes other bytes of the same answer.
    pub(crate) fn note_progress(&self) {
        self.log.lock().note_progress(self.slot);
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        let mut state = self.log.lock();
        state.readers[self.slot] = None;
        state.trim(&self.log.in_flight);
        // In a window the writer may wait for this reader only; it has to learn that no reader is left.
        if !state.has_readers() {
            state.note_left();
            state.wake_writer();
            state.leaving.take().into_iter().for_each(Waker::wake);
        }
    }
}
