//! A body while it arrives: one writer, many readers, each at its own place.
//!
//! While the body may still be stored, the log keeps all frames, so that a follower that joins late reads from the start and a slow
//! reader slows nobody. Once it cannot be stored any more, the log becomes a window: frames that all readers have passed are dropped,
//! and the writer waits while [`WINDOW`] bytes are unread. Memory per fill is therefore bounded by the largest object plus a window.
//! A reader that takes nothing for [`PATIENCE`] while others wait behind it is cut off: no client can stop another one's download.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::error::BodyError;

/// Unread bytes at which the writer waits, once the log is a window.
const WINDOW: u64 = 256 * 1024;

/// How long the readers of a window wait for one that takes nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes held by all logs, and the most they may hold together.
#[derive(Debug)]
pub(crate) struct InFlight {
    held: AtomicU64,
    limit: u64,
}

impl InFlight {
    pub(crate) fn new(limit: u64) -> Self {
        Self { held: AtomicU64::new(0), limit }
    }

    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes that are held beside the logs, until they are taken off again.
    pub(crate) fn add(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes off what was added.
    pub(crate) fn take_off(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether the budget for bodies in flight is used up.
    pub(crate) fn is_full(&self) -> bool {
        self.held() >= self.limit
    }
}

#[derive(Debug)]
struct Log {
    state: Mutex<State>,
    in_flight: Arc<InFlight>,
}

#[derive(Debug)]
struct State {
    frames: VecDeque<Bytes>,
    /// The number of `frames[0]`.
    first: usize,
    held: u64,
    keeping: bool,
    end: Option<End>,
    /// Slots are reused; a reader knows its own.
    readers: Vec<Option<Place>>,
    writer: Option<Waker>,
}

#[derive(Debug, Default)]
struct Place {
    next: usize,
    waker: Option<Waker>,
}

#[derive(Clone, Debug)]
enum End {
    Complete(Option<Arc<HeaderMap>>),
    Broken(BodyError),
}

/// The writing end. Dropped without [`LogWriter::complete`], it breaks the readers off.
#[derive(Debug)]
pub(crate) struct LogWriter(Arc<Log>);

/// One reader's place. Registered from the moment it is made.
#[derive(Debug)]
pub(crate) struct LogReader {
    log: Arc<Log>,
    slot: usize,
}

/// Makes new readers while the body is complete from its start.
#[derive(Clone, Debug)]
pub(crate) struct LogHandle(Arc<Log>);

/// What a reader gets.
#[derive(Debug)]
pub(crate) enum Item {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// An empty log.
pub(crate) fn body_log(in_flight: Arc<InFlight>) -> (LogWriter, LogHandle) {
    let state = State { frames: VecDeque::new(), first: 0, held: 0, keeping: true, end: None, readers: Vec::new(), writer: None };
    let log = Arc::new(Log { state: Mutex::new(state), in_flight });
    (LogWriter(Arc::clone(&log)), LogHandle(log))
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let held = self.lock().held;
        self.in_flight.held.fetch_sub(held, Ordering::Relaxed);
    }
}

impl State {
    fn wake_readers(&mut self) {
        for place in self.readers.iter_mut().flatten() {
            if let Some(waker) = place.waker.take() {
                waker.wake();
            }
        }
    }

    /// Drops what all readers have passed. Only in a window.
    fn trim(&mut self, in_flight: &InFlight) {
        if self.keeping {
            return;
        }
        let last = self.first + self.frames.len();
        let slowest = self.readers.iter().flatten().map(|place| place.next).min().unwrap_or(last);
        let mut freed = 0;
        while self.first < slowest
            && let Some(frame) = self.frames.pop_front()
        {
            freed += frame.len() as u64;
            self.first += 1;
        }
        self.held -= freed;
        in_flight.held.fetch_sub(freed, Ordering::Relaxed);
        if self.held < WINDOW
            && let Some(writer) = self.writer.take()
        {
            writer.wake();
        }
    }

    /// Cuts off the readers that all others wait for. A reader with nobody behind it may take its time.
    fn cut_off_stalled(&mut self, in_flight: &InFlight) {
        let (first, last) = (self.first, self.first + self.frames.len());
        if self.readers.iter().flatten().any(|place| place.next >= last) {
            self.readers.iter_mut().filter(|slot| slot.as_ref().is_some_and(|place| place.next == first)).for_each(|slot| *slot = None);
            self.trim(in_flight);
        }
    }

    fn has_readers(&self) -> bool {
        self.readers.iter().any(Option::is_some)
    }
}

impl LogWriter {
    /// Appends a frame for all readers.
    pub(crate) fn append(&self, frame: Bytes) {
        let mut state = self.0.lock();
        let len = frame.len() as u64;
        self.0.in_flight.held.fetch_add(len, Ordering::Relaxed);
        state.held += len;
        state.frames.push_back(frame);
        state.trim(&self.0.in_flight);
        state.wake_readers();
    }

    /// From now on the body is only passed along. No reader can join any more.
    pub(crate) fn stop_keeping(&self) {
        let mut state = self.0.lock();
        state.keeping = false;
        state.trim(&self.0.in_flight);
    }

    /// Waits until there is room. `false`: nobody reads any more, and nothing is kept.
    pub(crate) async fn room(&self) -> bool {
        // Mostly there is, and then no timer is made.
        if let Poll::Ready(room) = poll_fn(|cx| Poll::Ready(self.poll_room(cx))).await {
            return room;
        }
        loop {
            match tokio::time::timeout(PATIENCE, poll_fn(|cx| self.poll_room(cx))).await {
                Ok(room) => return room,
                Err(_) => self.0.lock().cut_off_stalled(&self.0.in_flight),
            }
        }
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.0.lock();
        if state.keeping {
            return Poll::Ready(true);
        }
        if !state.has_readers() {
            return Poll::Ready(false);
        }
        if state.held < WINDOW {
            return Poll::Ready(true);
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The frames kept so far, for storage.
    pub(crate) fn frames(&self) -> Vec<Bytes> {
        self.0.lock().frames.iter().cloned().collect()
    }

    /// Whether anybody reads.
    pub(crate) fn has_readers(&self) -> bool {
        self.0.lock().has_readers()
    }

    /// The body is proven complete.
    pub(crate) fn complete(self, trailers: Option<HeaderMap>) {
        self.end(End::Complete(trailers.map(Arc::new)));
    }

    /// The body broke off: every reader sees the break after what came before it.
    pub(crate) fn break_off(self, error: BodyError) {
        self.end(End::Broken(error));
    }

    fn end(&self, end: End) {
        let mut state = self.0.lock();
        if state.end.is_none() {
            state.end = Some(end);
        }
        state.wake_readers();
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.end(End::Broken(BodyError::Abandoned));
    }
}

impl LogHandle {
    /// A reader from the first byte; `None` once the start is gone.
    pub(crate) fn reader(&self) -> Option<LogReader> {
        let mut state = self.0.lock();
        if !state.keeping {
            return None;
        }
        let free = state.readers.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            state.readers.push(None);
            state.readers.len() - 1
        });
        state.readers[slot] = Some(Place::default());
        Some(LogReader { log: Arc::clone(&self.0), slot })
    }
}

impl LogReader {
    /// The next item; `None` at the proven end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, BodyError>>> {
        let mut guard = self.log.lock();
        let state = &mut *guard;
        let Some(Some(place)) = state.readers.get_mut(self.slot) else {
            return Poll::Ready(Some(Err(BodyError::Outrun)));
        };
        if let Some(frame) = state.frames.get(place.next - state.first) {
            let frame = frame.clone();
            place.next += 1;
            state.trim(&self.log.in_flight);
            return Poll::Ready(Some(Ok(Item::Data(frame))));
        }
        match &state.end {
            None => {
                place.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(End::Broken(error)) => Poll::Ready(Some(Err(error.clone()))),
            Some(End::Complete(Some(trailers))) if place.next < state.first + state.frames.len() + 1 => {
                place.next += 1;
                Poll::Ready(Some(Ok(Item::Trailers(HeaderMap::clone(trailers)))))
            }
            Some(End::Complete(_)) => Poll::Ready(None),
        }
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        let mut state = self.log.lock();
        state.readers[self.slot] = None;
        state.trim(&self.log.in_flight);
        // In a window the writer may wait for this reader only; it has to learn that nobody is left.
        if !state.has_readers()
            && let Some(writer) = state.writer.take()
        {
            writer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn log() -> (LogWriter, LogHandle, Arc<InFlight>) {
        let in_flight = Arc::new(InFlight::new(1 << 20));
        let (writer, handle) = body_log(Arc::clone(&in_flight));
        (writer, handle, in_flight)
    }

    fn next(reader: &mut LogReader) -> Poll<Option<Result<Item, BodyError>>> {
        reader.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    fn data(reader: &mut LogReader) -> Bytes {
        match next(reader) {
            Poll::Ready(Some(Ok(Item::Data(frame)))) => frame,
            other => panic!("no data: {other:?}"),
        }
    }

    fn has_room(writer: &LogWriter) -> Poll<bool> {
        writer.poll_room(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_late_reader_reads_from_the_start() {
        let (writer, handle, _) = log();
        writer.append("a".into());
        writer.append("b".into());
        let mut late = handle.reader().expect("the start is kept");
        assert_eq!(data(&mut late), "a");
        assert_eq!(data(&mut late), "b");
        assert!(next(&mut late).is_pending());
        writer.complete(None);
        assert!(matches!(next(&mut late), Poll::Ready(None)));
    }

    #[test]
    fn trailers_come_once_after_the_data() {
        let (writer, handle, _) = log();
        let mut reader = handle.reader().expect("kept");
        writer.append("a".into());
        writer.complete(Some(HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("\"x\""))])));
        data(&mut reader);
        assert!(matches!(next(&mut reader), Poll::Ready(Some(Ok(Item::Trailers(_))))));
        assert!(matches!(next(&mut reader), Poll::Ready(None)));
    }

    #[test]
    fn a_writer_that_is_gone_is_a_break_never_a_clean_end() {
        let (writer, handle, _) = log();
        let mut reader = handle.reader().expect("kept");
        writer.append("a".into());
        drop(writer);
        data(&mut reader);
        assert!(matches!(next(&mut reader), Poll::Ready(Some(Err(BodyError::Abandoned)))));
    }

    #[test]
    fn a_slow_reader_slows_nobody_while_the_body_is_kept() {
        let (writer, handle, _) = log();
        let _slow = handle.reader();
        writer.append(vec![0; 4 * WINDOW as usize].into());
        assert_eq!(has_room(&writer), Poll::Ready(true));
    }

    #[test]
    fn a_window_drops_what_all_have_read_and_waits_for_the_slowest() {
        let (writer, handle, in_flight) = log();
        let (mut fast, mut slow) = (handle.reader().expect("kept"), handle.reader().expect("kept"));
        writer.append(vec![0; WINDOW as usize].into());
        writer.stop_keeping();
        assert!(handle.reader().is_none(), "nobody can join in the middle");
        data(&mut fast);
        assert_eq!(has_room(&writer), Poll::Pending);
        data(&mut slow);
        assert_eq!(has_room(&writer), Poll::Ready(true));
        assert_eq!(in_flight.held(), 0);
    }

    #[test]
    fn a_window_without_readers_tells_the_writer_to_stop() {
        let (writer, handle, _) = log();
        let reader = handle.reader();
        writer.append(vec![0; WINDOW as usize].into());
        writer.stop_keeping();
        assert_eq!(has_room(&writer), Poll::Pending);
        drop(reader);
        assert_eq!(has_room(&writer), Poll::Ready(false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_cut_off_when_others_wait_for_it() {
        let (writer, handle, in_flight) = log();
        let (mut waiting, mut stalled) = (handle.reader().expect("kept"), handle.reader().expect("kept"));
        writer.append(vec![0; WINDOW as usize].into());
        writer.stop_keeping();
        data(&mut waiting);
        assert!(writer.room().await);
        assert_eq!(in_flight.held(), 0);
        assert!(matches!(next(&mut stalled), Poll::Ready(Some(Err(BodyError::Outrun)))));
        writer.append("more".into());
        assert_eq!(data(&mut waiting), "more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_with_nobody_behind_it_may_take_its_time() {
        let (writer, handle, _) = log();
        let mut slow = handle.reader().expect("kept");
        writer.append(vec![0; WINDOW as usize].into());
        writer.stop_keeping();
        assert!(tokio::time::timeout(10 * PATIENCE, writer.room()).await.is_err());
        data(&mut slow);
        assert!(writer.room().await);
    }

    #[test]
    fn bytes_in_flight_are_counted_until_the_last_holder_leaves() {
        let (writer, handle, in_flight) = log();
        let reader = handle.reader();
        writer.append("12345".into());
        writer.complete(None);
        assert_eq!(in_flight.held(), 5);
        drop((reader, handle));
        assert_eq!(in_flight.held(), 0);
    }
}
