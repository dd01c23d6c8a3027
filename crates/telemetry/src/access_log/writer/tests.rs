//! The buffers and their writer.

use http::Request;
use larder_semantics::Timestamp;
use larder_tower::clock::monotonic;

use super::*;

/// A log as text to this output.
fn start_text(output: impl Write + Send + 'static) -> (Arc<Sink>, LogWriter) {
    start(&Log::default(), output, None).unwrap()
}

fn send(sink: &Sink) {
    sink.send(&mut Line::begin(&sink.layout, &Request::new(()), None, Timestamp::default()), monotonic());
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
    let (sink, writer) = start_text(output);
    send(&sink);
    assert_eq!(written.recv(), Ok(1));
    let mut one = Vec::new();
    Line::begin(&sink.layout, &Request::new(()), None, Timestamp::default()).finish(&sink.layout, &mut one);
    let room = (MAX_WAITING / sink.shared.buffers.len()).div_ceil(one.len());
    (0..room + 5).for_each(|_| send(&sink));
    assert_eq!(sink.dropped(), 5);
    assert!(!writer.stop(Duration::ZERO));
    drop(open);
}

#[test]
fn lines_that_wait_are_written_together() {
    let (output, written, open) = gate();
    let (sink, writer) = start_text(output);
    send(&sink);
    assert_eq!(written.recv(), Ok(1));
    (0..3).for_each(|_| send(&sink));
    (0..2).for_each(|_| open.send(()).unwrap());
    assert!(writer.stop(Duration::from_secs(10)));
    assert_eq!(written.recv(), Ok(3));
}

#[test]
fn a_failing_output_counts_its_lines_as_dropped() {
    let (output, written, open) = gate();
    drop((written, open));
    let (sink, writer) = start_text(output);
    (0..3).for_each(|_| send(&sink));
    assert!(writer.stop(Duration::from_secs(10)));
    assert_eq!(sink.dropped(), 3);
    send(&sink);
    assert_eq!(sink.dropped(), 4);
}

/// An output that keeps what it gets.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().map_err(|_| io::Error::other("poisoned"))?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_of_all_threads_are_written_whole() {
    const THREADS: usize = 8;
    const LINES: usize = 2000;
    let kept = Kept::default();
    let (sink, writer) = start(&Log { access: larder_config::AccessLog::Json, ..Log::default() }, kept.clone(), None).unwrap();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..LINES).for_each(|_| send(&sink)));
        }
    });
    assert!(writer.stop(Duration::from_secs(10)));
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count() as u64 + sink.dropped(), (THREADS * LINES) as u64);
    assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[test]
fn lines_stand_in_the_order_in_which_requests_ended() {
    let start = monotonic();
    let lines = |texts: &[(u64, &str)]| {
        let mut lines = Lines::default();
        for (millis, text) in texts {
            lines.bytes.extend_from_slice(text.as_bytes());
            lines.ends.push((start + Duration::from_millis(*millis), lines.bytes.len()));
        }
        lines
    };
    let mut out = b"old".to_vec();
    merge(&[lines(&[(1, "a\n"), (4, "dd\n")]), lines(&[]), lines(&[(2, "bbb\n"), (3, "c\n"), (5, "e\n")])], &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "a\nbbb\nc\ndd\ne\n");
}

#[test]
fn the_thread_ends_with_the_last_log() {
    let (output, _written, _open) = gate();
    let (sink, LogWriter { ended, .. }) = start_text(output);
    drop(sink);
    assert_eq!(ended.recv(), Err(mpsc::RecvError));
}

#[test]
fn an_output_that_is_opened_again_gets_the_lines_from_then_on() {
    let (first, second) = (Kept::default(), Kept::default());
    let (opened, open) = mpsc::channel();
    let mut outputs = vec![Ok(second.clone()), Err(io::Error::other("gone"))];
    let opener = move || {
        let next = outputs.pop().unwrap_or_else(|| Err(io::Error::other("no more")));
        opened.send(next.is_ok()).map_err(io::Error::other)?;
        next
    };
    let (sink, writer) = start(&Log::default(), first.clone(), Some(Box::new(opener))).unwrap();
    send(&sink);
    writer.reopen();
    assert_eq!(open.recv(), Ok(false), "the one before stays");
    send(&sink);
    writer.reopen();
    assert_eq!(open.recv(), Ok(true));
    send(&sink);
    assert!(writer.stop(Duration::from_secs(10)));
    let lines = |kept: &Kept| kept.0.lock().unwrap().iter().filter(|byte| **byte == b'\n').count();
    assert_eq!((lines(&first) + lines(&second), sink.dropped()), (3, 0));
    assert!(lines(&first) >= 1 && lines(&second) >= 1);
}
