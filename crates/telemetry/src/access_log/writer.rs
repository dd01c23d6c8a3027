//! The buffers between requests and the output, and the thread that empties them.
//!
//! Whoever answers a request writes its line into a buffer that other threads seldom touch; the writer takes all buffers at one moment, every
//! 100 ms or when one is full, and puts their lines in order. So a line costs its bytes, and neither a message nor a wake-up.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use larder_config::Log;
use larder_tower::clock::monotonic;

use super::layout::Layout;
use super::line::Line;
use super::selection::Selection;
use output::Output;

/// Time between two writes while there is traffic.
const BATCH_INTERVAL: Duration = Duration::from_millis(100);
/// Bytes in a buffer that are written without waiting for more lines.
const BATCH_BYTES: usize = 64 << 10;
/// Bytes of a line, about.
const USUAL_LINE: usize = 256;
/// Bytes that may wait in all buffers together while the output takes nothing.
const MAX_WAITING: usize = 8 << 20;
/// Buffers at most: more threads share them.
const MAX_BUFFERS: usize = 16;

/// The requests' end: where lines go.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) layout: Layout,
    pub(super) selection: Selection,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Sinks that are left: the writer ends with the last one.
    sinks: AtomicUsize,
    buffers: Box<[Buffer]>,
    dropped: AtomicU64,
    stopping: AtomicBool,
    /// Whether the output is to be opened again.
    reopening: AtomicBool,
    /// Whether the writer waits for the first line, however long that takes.
    is_asleep: AtomicBool,
    writer: OnceLock<Thread>,
}

/// One buffer, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Buffer(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    /// When each request ended, and where its line ends.
    ends: Vec<(Instant, usize)>,
    /// The writer has ended.
    is_closed: bool,
}

impl Sink {
    fn new(log: &Log, shared: Arc<Shared>) -> Arc<Self> {
        shared.sinks.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { layout: Layout::of(log), selection: Selection::of(log), shared })
    }

    /// Another one, for the same writer, with the form and the choice of these settings.
    pub(super) fn reshaped(&self, log: &Log) -> Arc<Self> {
        Self::new(log, Arc::clone(&self.shared))
    }

    /// Never waits for the output: a line that finds its buffer full is dropped and counted.
    pub(super) fn send(&self, line: &mut Line, ended: Instant) {
        let shared = &*self.shared;
        let mut lines = shared.buffers[buffer_of_this_thread() % shared.buffers.len()].lock();
        if lines.is_closed || lines.bytes.len() >= MAX_WAITING / shared.buffers.len() {
            drop(lines);
            shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let before = lines.bytes.len();
        lines.make_room();
        line.finish(&self.layout, &mut lines.bytes);
        let end = lines.bytes.len();
        lines.ends.push((ended, end));
        let is_full = before < BATCH_BYTES && lines.bytes.len() >= BATCH_BYTES;
        drop(lines);
        // The writer looks into the buffers once more after it has said that it sleeps: either it sees the line, or this sees that it sleeps.
        if is_full || (shared.is_asleep.load(Ordering::Relaxed) && shared.is_asleep.swap(false, Ordering::Relaxed)) {
            shared.wake();
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    /// After the last one there will be no more lines.
    fn drop(&mut self) {
        if self.shared.sinks.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.stop();
        }
    }
}

/// Threads have numbers in the order in which they wrote their first line.
fn buffer_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    NUMBER.get().unwrap_or_else(|| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        NUMBER.set(Some(number));
        number
    })
}

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        // Half a line at worst, of a thread that panicked: it has no end, so it stands before the next one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// Room for a batch, where there is none yet: most buffers of a large machine are never used.
    fn make_room(&mut self) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(BATCH_BYTES);
            self.ends.reserve(BATCH_BYTES / USUAL_LINE);
        }
    }
}

impl Shared {
    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake();
    }
}

/// The writing thread.
#[derive(Debug)]
pub struct LogWriter {
    shared: Arc<Shared>,
    ended: Receiver<()>,
}

impl LogWriter {
    /// Opens the output again, once the lines that wait are written: its file may have been renamed. Where that fails the one before stays.
    pub fn reopen(&self) {
        self.shared.reopening.store(true, Ordering::Release);
        self.shared.wake();
    }

    /// Lines dropped so far, because a buffer was full or the output failed.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Whether the thread has ended: it does once all clones of all logs that it writes for are gone, and everything is written.
    pub fn has_ended(&self) -> bool {
        matches!(self.ended.try_recv(), Err(mpsc::TryRecvError::Disconnected))
    }

    /// Writes the lines that wait and ends the thread; later lines are dropped. Blocks for `timeout` at most, because the output may be a pipe
    /// without a reader. Returns whether nothing waits any more: what the output did not take is among the dropped.
    pub fn stop(self, timeout: Duration) -> bool {
        self.shared.stop();
        // The thread never sends. Its end closes the channel.
        matches!(self.ended.recv_timeout(timeout), Err(mpsc::RecvTimeoutError::Disconnected))
    }
}

/// Opens the output.
pub(super) type Opener<W> = Box<dyn FnMut() -> io::Result<W> + Send>;

pub(super) fn start<W: Write + Send + 'static>(log: &Log, output: W, open: Option<Opener<W>>) -> io::Result<(Arc<Sink>, LogWriter)> {
    let buffers = thread::available_parallelism().map_or(1, usize::from).min(MAX_BUFFERS);
    let shared = Arc::new(Shared {
        sinks: AtomicUsize::new(0),
        buffers: (0..buffers).map(|_| Buffer::default()).collect(),
        dropped: AtomicU64::new(0),
        stopping: AtomicBool::new(false),
        reopening: AtomicBool::new(false),
        is_asleep: AtomicBool::new(false),
        writer: OnceLock::new(),
    });
    let (running, ended) = mpsc::channel::<()>();
    let writer = Writer { output: Output::new(output), open, shared: Arc::clone(&shared), taken: Vec::new(), merged: Vec::new() };
    let handle = thread::Builder::new().name("access-log".to_owned()).spawn(move || {
        let _running = running;
        writer.run();
    })?;
    // Before there is a sink, so nobody has a line to wake it for.
    let _first = shared.writer.set(handle.thread().clone());
    let sink = Sink::new(log, Arc::clone(&shared));
    // A writer that fell asleep before it could be woken looks again.
    shared.wake();
    Ok((sink, LogWriter { shared, ended }))
}

struct Writer<W> {
    output: Output<W>,
    /// `None`: it is not opened again.
    open: Option<Opener<W>>,
    shared: Arc<Shared>,
    /// Lines that were taken, a buffer's each; their room goes back.
    taken: Vec<Lines>,
    merged: Vec<u8>,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        loop {
            if self.shared.stopping.load(Ordering::Acquire) {
                self.write_all(true);
                return;
            }
            let wrote = self.write_all(false);
            if self.shared.reopening.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            if wrote {
                thread::park_timeout(BATCH_INTERVAL);
                continue;
            }
            self.shared.is_asleep.store(true, Ordering::Relaxed);
            let is_idle = self.shared.buffers.iter().all(|buffer| buffer.lock().bytes.is_empty());
            let is_called = self.shared.stopping.load(Ordering::Acquire) || self.shared.reopening.load(Ordering::Acquire);
            if is_idle && !is_called {
                thread::park();
            }
            self.shared.is_asleep.store(false, Ordering::Relaxed);
        }
    }

    fn reopen(&mut self) {
        match self.open.as_mut().map(|open| open()) {
            None => {}
            Some(Ok(output)) => self.output = Output::new(output),
            Some(Err(error)) => tracing::error!("the access log cannot be opened again, and goes on as before: {error}"),
        }
    }

    /// Writes what is in the buffers; returns whether there was anything. `last`: nothing is taken any more.
    fn write_all(&mut self, last: bool) -> bool {
        let shared = Arc::clone(&self.shared);
        self.taken.resize_with(shared.buffers.len(), Lines::default);
        // All are held while they are taken: a line that stays behind belongs to a request that ended after those that were taken.
        let mut held: Vec<_> = shared.buffers.iter().map(Buffer::lock).collect();
        for (lines, taken) in held.iter_mut().zip(&mut self.taken) {
            lines.is_closed |= last;
            if !lines.ends.is_empty() {
                taken.make_room();
                std::mem::swap(&mut lines.bytes, &mut taken.bytes);
                std::mem::swap(&mut lines.ends, &mut taken.ends);
            }
        }
        drop(held);
        let count = self.taken.iter().map(|lines| lines.ends.len() as u64).sum();
        if count > 0 {
            self.write(count);
        }
        count > 0
    }

    /// Lines that the output does not take whole are counted as dropped; nothing else fails.
    fn write(&mut self, count: u64) {
        let bytes = match self.taken.iter().filter(|lines| !lines.ends.is_empty()).collect::<Vec<_>>()[..] {
            [only] => &only.bytes,
            _ => {
                merge(&self.taken, &mut self.merged);
                &self.merged
            }
        };
        let lost = self.output.write(bytes, count, monotonic());
        if lost > 0 {
            self.shared.dropped.fetch_add(lost, Ordering::Relaxed);
        }
        // A reader that stood still for a while has not made the buffers large for ever.
        let rooms = self.taken.iter_mut().map(|lines| &mut lines.bytes).chain([&mut self.merged]);
        rooms.for_each(|room| {
            room.clear();
            room.shrink_to(2 * BATCH_BYTES);
        });
        self.taken.iter_mut().for_each(|lines| lines.ends.clear());
    }
}

/// The lines of all buffers, in the order in which their requests ended.
fn merge(buffers: &[Lines], out: &mut Vec<u8>) {
    out.clear();
    let mut next = vec![0; buffers.len()];
    let earliest = |next: &[usize]| {
        let heads = buffers.iter().zip(next).enumerate().filter_map(|(buffer, (lines, next))| Some((lines.ends.get(*next)?.0, buffer)));
        heads.min().map(|(_, buffer)| buffer)
    };
    while let Some(buffer) = earliest(&next) {
        let (lines, number) = (&buffers[buffer], next[buffer]);
        let start = if number == 0 { 0 } else { lines.ends[number - 1].1 };
        out.extend_from_slice(&lines.bytes[start..lines.ends[number].1]);
        next[buffer] += 1;
    }
}

mod output;
#[cfg(test)]
mod tests;
