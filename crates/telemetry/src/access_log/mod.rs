//! The access log: one line a request, written when its body has ended.
//!
//! The task that answers formats the line into a buffer of its thread; a thread of the log's own writes the buffers, every 100 ms or when one
//! is full, its lines in the order in which requests ended. Buffers are bounded: when the reader of the log is too slow, lines are dropped and
//! counted, and no request waits. A log that is off is `None` everywhere: nothing is allocated, formatted, cloned or timed.
//!
//! ```text
//! AccessLog::begin ─> Entry::respond ─> LoggedBody counts bytes ─> body ends: Sink::send ─buffer─> Writer ─> output
//!  (head read)         (head ready)      (body sent)                (or is dropped)
//! ```
//!
//! The form of a line is a `Layout`, and a `Selection` says which requests have one; both are made of the configuration's `[log]`.

mod body;
mod facts;
mod file;
mod layout;
mod line;
mod put;
mod record;
mod redact;
mod selection;
mod text;
mod value;
mod writer;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderValue, Request, Response, StatusCode};
use larder_config::Log;
use larder_semantics::Timestamp;
use larder_tower::clock::monotonic;

pub use body::{ByteObserver, LoggedBody, Uncounted};
pub use file::open_log;
pub(crate) use put::micros;
pub use put::timestamp;
pub use record::ResponseRecord;
pub use redact::{redacted, redacted_variant};
pub use writer::LogWriter;

use layout::Layout;
use line::{Line, Transfer};
use writer::{Opener, Sink};

/// Where lines go. Clones share one writer.
#[derive(Clone, Debug)]
pub struct AccessLog(Option<Arc<Sink>>);

impl AccessLog {
    /// No log.
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether there is one.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A log to `output`, written by a new thread. It lives until all clones are gone or [`LogWriter::stop`] is called.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(log: &Log, output: impl std::io::Write + Send + 'static) -> std::io::Result<(Self, LogWriter)> {
        let (sink, writer) = writer::start(log, output, None)?;
        Ok((Self(Some(sink)), writer))
    }

    /// As [`Self::start`], to what `open` opens, which [`LogWriter::reopen`] opens again.
    ///
    /// # Errors
    /// If it cannot be opened, or the thread cannot be started.
    pub fn start_reopening<W: std::io::Write + Send + 'static>(
        log: &Log,
        mut open: impl FnMut() -> std::io::Result<W> + Send + 'static,
    ) -> std::io::Result<(Self, LogWriter)> {
        let output = open()?;
        let opener: Opener<W> = Box::new(open);
        let (sink, writer) = writer::start(log, output, Some(opener))?;
        Ok((Self(Some(sink)), writer))
    }

    /// A log to the same output by the same writer, with lines as these settings have them. Lines that were begun before keep their form. `None`
    /// where this log is off.
    pub fn reshaped(&self, log: &Log) -> Option<Self> {
        self.0.as_ref().map(|sink| Self(Some(sink.reshaped(log))))
    }

    /// Begins the line of `request`, whose head has just been read. `clock` is asked only if the request may have one.
    pub fn begin<B>(&self, request: &Request<B>, client: Option<IpAddr>, clock: impl FnOnce() -> Timestamp) -> Entry {
        self.open(|layout| Line::begin(layout, request, client, clock()))
    }

    /// Begins the line of a client whose request could not be read, with the id of the response, if it has one.
    pub fn begin_unread(&self, client: Option<IpAddr>, id: Option<&HeaderValue>, clock: impl FnOnce() -> Timestamp) -> Entry {
        self.open(|layout| Line::unread(layout, client, id, clock()))
    }

    fn open(&self, line: impl FnOnce(&Layout) -> Box<Line>) -> Entry {
        let sink = self.0.as_ref().filter(|sink| sink.selection.may_take());
        Entry(sink.map(|sink| Open { sink: Arc::clone(sink), started: monotonic(), line: line(&sink.layout) }))
    }

    /// Lines dropped so far by its writer, because a buffer was full or the output failed.
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |sink| sink.dropped())
    }
}

/// A line under way. One that is dropped before [`Entry::respond`] says that the client left before there was a response.
#[derive(Debug, Default)]
pub struct Entry(Option<Open>);

#[derive(Debug)]
struct Open {
    sink: Arc<Sink>,
    started: Instant,
    line: Box<Line>,
}

impl Entry {
    /// Adds the response, and has the line written when its body has ended or was dropped.
    pub fn respond<B: http_body::Body>(mut self, response: Response<B>, record: &ResponseRecord<'_>) -> Response<LoggedBody<B>> {
        self.answered(response.status(), record);
        response.map(|body| LoggedBody::new(body, self, None, None))
    }

    /// Adds the head of the response, whose body is then to be a [`LoggedBody`] with this line.
    pub fn answered(&mut self, status: StatusCode, record: &ResponseRecord<'_>) {
        if let Some(open) = &mut self.0 {
            open.line.respond(&open.sink.layout, status, record);
        }
    }

    /// Adds a response that was sent whole, with `bytes` of body, and has the line written.
    pub fn responded(mut self, status: StatusCode, bytes: usize, record: &ResponseRecord<'_>) {
        self.answered(status, record);
        self.sent(bytes);
        if let Some(open) = &mut self.0 {
            // Its bytes did not pass by here.
            open.line.sent.body = None;
        }
        self.end(Transfer::Complete);
    }

    /// Whether there is a line to write.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    fn sent(&mut self, bytes: usize) {
        if let Some(open) = &mut self.0 {
            open.line.sent.bytes += bytes as u64;
        }
    }

    /// As [`Self::sent`], of these bytes.
    fn sent_data(&mut self, data: &impl bytes::Buf) {
        self.sent(data.remaining());
        let Some(open) = &mut self.0 else { return };
        match &mut open.line.sent.body {
            Some(body) if data.chunk().len() == data.remaining() => body.update(data.chunk()),
            // Several pieces cannot be looked at without being consumed; no body here has such data.
            body => *body = None,
        }
    }

    /// Hands the line to the writer; later calls do nothing.
    fn end(&mut self, transfer: Transfer) {
        if let Some(Open { sink, started, mut line }) = self.0.take() {
            line.sent.transfer = transfer;
            let ended = monotonic();
            line.sent.duration = ended.saturating_duration_since(started);
            if sink.selection.takes(&line.sent) {
                sink.send(&mut line, ended);
            }
            line.keep();
        }
    }

    /// Whether so many bytes are the whole body, or there is no body to send at all.
    fn is_whole(&self, announced: Option<u64>) -> bool {
        self.0.as_ref().is_some_and(|open| open.line.has_no_body() || announced.is_some_and(|bytes| open.line.sent.bytes >= bytes))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.end(Transfer::Aborted);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty, Full};
    use larder_semantics::Reason;
    use larder_tower::CacheResult;
    use serde_json::Value;

    use super::*;
    use crate::traces::TraceId;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn request(target: &str) -> Request<Empty<Bytes>> {
        Request::get(target)
            .header("host", "api.example.com")
            .header("authorization", "Bearer hush")
            .header("x-request-id", "7f3a")
            .body(Empty::new())
            .unwrap()
    }

    /// Runs `requests` against a JSON log and returns its lines.
    fn logged(requests: impl FnOnce(&AccessLog)) -> Vec<Value> {
        logged_as(&Log::default(), requests)
    }

    /// As [`logged`], with these settings besides.
    fn logged_as(log: &Log, requests: impl FnOnce(&AccessLog)) -> Vec<Value> {
        let output = Output::default();
        let (log, writer) = AccessLog::start(&Log { access: larder_config::AccessLog::Json, ..log.clone() }, output.clone()).unwrap();
        requests(&log);
        assert!(writer.stop(Duration::from_secs(10)));
        let bytes = output.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn now() -> Timestamp {
        Timestamp::from_millis(1_795_253_400_123)
    }

    #[test]
    fn a_line_holds_what_happened() {
        let (route, upstream): (Arc<str>, Arc<str>) = (Arc::from("issue.list"), Arc::from("api"));
        let lines = logged(|log| {
            let entry = log.begin(&request("/api/v1/issues?project=p"), Some([127, 0, 0, 1].into()), now);
            let record = ResponseRecord {
                route: Some(&route),
                result: Some(CacheResult::Miss),
                reason: Some(Reason::Absent),
                stored: Some(true),
                collapsed: true,
                upstream: Some(&upstream),
                upstream_server: Some("http://10.0.0.1:3000"),
                upstream_status: Some(StatusCode::NOT_MODIFIED),
                upstream_time: Some(Duration::from_micros(1500)),
                trace: Some(TraceId(7)),
                ..ResponseRecord::default()
            };
            let response = entry.respond(Response::new(Full::new(Bytes::from_static(b"12345"))), &record);
            assert_eq!(futures_now(response.into_body().collect()).unwrap().to_bytes(), "12345");
        });
        let line = &lines[0];
        assert_eq!(lines.len(), 1);
        for (name, value) in [
            ("timestamp", Value::from("2026-11-21T09:30:00.123Z")),
            ("client", "127.0.0.1".into()),
            ("method", "GET".into()),
            ("host", "api.example.com".into()),
            ("target", "/api/v1/issues?project=p".into()),
            ("status", 200.into()),
            ("bytes", 5.into()),
            ("result", "MISS".into()),
            ("reason", "absent".into()),
            ("route", "issue.list".into()),
            ("key", Value::Null),
            ("stored", true.into()),
            ("collapsed", true.into()),
            ("upstream", "api".into()),
            ("upstream_server", "http://10.0.0.1:3000".into()),
            ("upstream_status", 304.into()),
            ("upstream_us", 1500.into()),
            ("request_id", "7f3a".into()),
            ("trace_id", "00000000000000000000000000000007".into()),
            ("protocol", "HTTP/1.1".into()),
            ("transfer", "complete".into()),
        ] {
            assert_eq!(line[name], value, "{name} of {line}");
        }
        assert!(line["duration_us"].is_u64());
        assert!(!line.to_string().contains("hush"));
    }

    #[test]
    fn a_client_that_leaves_before_the_answer_is_logged_without_status() {
        let lines = logged(|log| drop(log.begin(&request("/slow"), None, now)));
        assert_eq!((&lines[0]["status"], &lines[0]["transfer"]), (&Value::Null, &Value::from("aborted")));
    }

    #[test]
    fn only_chosen_requests_have_a_line() {
        let only = Log { only: vec![larder_config::LogCondition::StatusClass(4)], ..Log::default() };
        let lines = logged_as(&only, |log| {
            for status in [200, 404, 503] {
                let entry = log.begin(&request("/a"), None, now);
                entry.responded(StatusCode::from_u16(status).unwrap(), 0, &ResponseRecord::default());
            }
            drop(log.begin(&request("/left"), None, now));
        });
        let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_u64()).collect();
        assert_eq!(statuses, [Some(404)]);
    }

    #[test]
    fn a_request_that_is_not_drawn_costs_no_line() {
        let sample = Some(larder_config::LogSample { share: 0.0, always: Vec::new() });
        let lines = logged_as(&Log { sample, ..Log::default() }, |log| {
            assert!(!log.begin(&request("/a"), None, || unreachable!("the clock is not asked")).is_on());
        });
        assert_eq!(lines.len(), 0);
    }

    #[test]
    fn lines_logged_before_the_stop_are_written() {
        let lines = logged(|log| {
            for _ in 0..500 {
                drop(log.begin(&request("/"), None, now));
            }
        });
        assert_eq!(lines.len(), 500);
    }

    #[test]
    fn a_log_that_gets_another_form_loses_no_line_and_ends_with_its_last_user() {
        let output = Output::default();
        let json = Log { access: larder_config::AccessLog::Json, ..Log::default() };
        let (log, writer) = AccessLog::start(&json, output.clone()).unwrap();
        let under_way = log.begin(&request("/before"), None, now);
        let short = Log { fields: Some(vec![larder_config::LogField::Target]), ..json };
        let other = log.reshaped(&short).expect("it is on");
        drop(log);
        other.begin(&request("/after"), None, now).responded(StatusCode::OK, 0, &ResponseRecord::default());
        drop(other);
        assert!(!writer.has_ended(), "a request is under way");
        under_way.responded(StatusCode::OK, 0, &ResponseRecord::default());
        assert!(writer.stop(Duration::from_secs(10)));
        let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let [after, before] = lines[..] else { panic!("{lines:?}") };
        assert_eq!(after, r#"{"target":"/after"}"#);
        assert!(
            before.contains(r#""target":"/before""#) && before.contains(r#""status":200"#),
            "it keeps the form that it was begun in: {before}"
        );
    }

    #[test]
    fn a_log_that_is_off_notes_nothing() {
        let log = AccessLog::off();
        let entry = log.begin(&request("/"), None, || unreachable!("the clock is not asked"));
        assert!(!entry.is_on());
        assert!(log.dropped() == 0 && log.reshaped(&Log::default()).is_none());
    }

    /// Drives a future that never waits.
    fn futures_now<F: Future>(future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(output) => output,
            std::task::Poll::Pending => panic!("it waits"),
        }
    }
}
