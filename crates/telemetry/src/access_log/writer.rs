//! The queue between requests and the output, and the thread that empties it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, Thread};
use std::time::Duration;

use super::line::{Format, Line};

/// Lines that may wait: with [`BATCH_INTERVAL`], enough for 800,000 requests a second.
const QUEUE: usize = 8192;
/// Time between two writes while there is traffic. A sender that wakes the writer pays a system call for each line, so the writer sleeps for
/// a fixed time while lines keep coming, and waits on the queue only when none do.
const BATCH_INTERVAL: Duration = Duration::from_millis(10);
/// Bytes that are written without waiting for more lines.
const BATCH_BYTES: usize = 64 << 10;

enum Message {
    Line(Box<Line>),
    /// Only wakes the writer.
    Stop,
}

/// The requests' end of the queue.
#[derive(Debug)]
pub(super) struct Sink {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    dropped: AtomicU64,
    stopping: AtomicBool,
}

impl Sink {
    /// Never waits: a line that finds the queue full is dropped and counted.
    pub(super) fn send(&self, line: Box<Line>) {
        if self.queue.try_send(Message::Line(line)).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

/// The writing thread.
#[derive(Debug)]
pub struct LogWriter {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    thread: Thread,
    ended: Receiver<()>,
}

impl LogWriter {
    /// Writes what is queued and ends the thread; lines that come later are dropped. Blocks for `timeout` at most, because
    /// the output may be a pipe without a reader. Returns whether everything was written.
    pub fn stop(self, timeout: Duration) -> bool {
        self.shared.stopping.store(true, Ordering::Release);
        // A writer whose queue is full does not wait on it, and sees the flag once it has drained the queue.
        let _full = self.queue.try_send(Message::Stop);
        self.thread.unpark();
        // The thread never sends. Its end closes the channel.
        matches!(self.ended.recv_timeout(timeout), Err(mpsc::RecvTimeoutError::Disconnected))
    }
}

pub(super) fn start(format: Format, output: impl Write + Send + 'static) -> io::Result<(Arc<Sink>, LogWriter)> {
    let (queue, lines) = mpsc::sync_channel(QUEUE);
    let (running, ended) = mpsc::channel::<()>();
    let shared = Arc::new(Shared::default());
    let writer = Writer { format, output, lines, shared: Arc::clone(&shared), buffer: Vec::with_capacity(BATCH_BYTES), unwritten: 0 };
    let handle = thread::Builder::new().name("access-log".to_owned()).spawn(move || {
        let _running = running;
        writer.run();
    })?;
    let sink = Arc::new(Sink { queue: queue.clone(), shared: Arc::clone(&shared) });
    Ok((sink, LogWriter { queue, shared, thread: handle.thread().clone(), ended }))
}

struct Writer<W> {
    format: Format,
    output: W,
    lines: Receiver<Message>,
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    unwritten: u64,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        while let Ok(first) = self.lines.recv() {
            self.take(first);
            loop {
                self.drain();
                if self.shared.stopping.load(Ordering::Acquire) {
                    // A line that was queued before the stop may have missed the drain above.
                    self.drain();
                    self.write();
                    return;
                }
                let idle = self.unwritten == 0;
                self.write();
                if idle {
                    break;
                }
                thread::park_timeout(BATCH_INTERVAL);
            }
        }
    }

    /// Formats the queued lines, at most as many as the queue holds, so that the caller sees a stop under constant traffic.
    fn drain(&mut self) {
        for _ in 0..QUEUE {
            let Ok(message) = self.lines.try_recv() else { return };
            self.take(message);
        }
    }

    fn take(&mut self, message: Message) {
        let Message::Line(line) = message else { return };
        line.write(self.format, &mut self.buffer);
        self.unwritten += 1;
        if self.buffer.len() >= BATCH_BYTES {
            self.write();
        }
    }

    /// Lines that the output does not take are counted as dropped; nothing else fails.
    fn write(&mut self) {
        if self.output.write_all(&self.buffer).and_then(|()| self.output.flush()).is_err() {
            self.shared.dropped.fetch_add(self.unwritten, Ordering::Relaxed);
        }
        self.buffer.clear();
        self.unwritten = 0;
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use larder_semantics::Timestamp;

    use super::*;

    fn line() -> Box<Line> {
        Box::new(Line::begin(&Request::new(()), None, Timestamp::default()))
    }

    /// An output that reports each write, and then waits until it is opened.
    struct Gate {
        entered: mpsc::Sender<usize>,
        leave: Receiver<()>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            self.entered.send(lines).map_err(io::Error::other)?;
            self.leave.recv().map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gate() -> (Gate, Receiver<usize>, mpsc::Sender<()>) {
        let (entered, written) = mpsc::channel();
        let (open, leave) = mpsc::channel();
        (Gate { entered, leave }, written, open)
    }

    #[test]
    fn a_stuck_output_drops_lines_and_never_blocks_a_sender() {
        let (output, written, open) = gate();
        let (sink, writer) = start(Format::Text, output).unwrap();
        sink.send(line());
        assert_eq!(written.recv(), Ok(1));
        (0..QUEUE + 5).for_each(|_| sink.send(line()));
        assert_eq!(sink.dropped(), 5);
        assert!(!writer.stop(Duration::ZERO));
        drop(open);
    }

    #[test]
    fn queued_lines_are_written_together() {
        let (output, written, open) = gate();
        let (sink, writer) = start(Format::Text, output).unwrap();
        sink.send(line());
        assert_eq!(written.recv(), Ok(1));
        (0..3).for_each(|_| sink.send(line()));
        (0..2).for_each(|_| open.send(()).unwrap());
        assert!(writer.stop(Duration::from_secs(10)));
        assert_eq!(written.recv(), Ok(3));
    }

    #[test]
    fn a_failing_output_counts_its_lines_as_dropped() {
        let (output, written, open) = gate();
        drop((written, open));
        let (sink, writer) = start(Format::Text, output).unwrap();
        (0..3).for_each(|_| sink.send(line()));
        assert!(writer.stop(Duration::from_secs(10)));
        assert_eq!(sink.dropped(), 3);
        sink.send(line());
        assert_eq!(sink.dropped(), 4);
    }

    #[test]
    fn the_thread_ends_with_the_last_log() {
        let (output, _written, _open) = gate();
        let (sink, LogWriter { queue, ended, .. }) = start(Format::Text, output).unwrap();
        drop((sink, queue));
        assert_eq!(ended.recv(), Err(mpsc::RecvError));
    }
}
