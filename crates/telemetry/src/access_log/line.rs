//! One line of the access log.

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use larder_semantics::{Reason, Timestamp};
use larder_tower::CacheResult;
use smallvec::SmallVec;
use xxhash_rust::xxh3::Xxh3Default;

use super::facts::{RequestFacts, ResponseFacts, sent};
use super::layout::{Layout, Phase, Piece};
use super::{ResponseRecord, text};

/// Bytes of a target or key that are written at most: clients choose their length, and many lines are under way at a time.
const MAX_TEXT: usize = 4096;
/// Bytes of a request ID that are written at most. The usual formats have 16 to 64.
const MAX_REQUEST_ID: usize = 128;

/// How the sending of a response ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Transfer {
    /// The whole body was handed to the connection.
    Complete,
    /// The client left, or the body broke off.
    #[default]
    Aborted,
}

impl Transfer {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Aborted => "aborted",
        }
    }
}

/// The request's part of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a Method,
    /// Host and port as the client named them, without userinfo; empty where it named none.
    pub(super) host: &'a str,
    pub(super) target: &'a str,
}

/// The facts that are no text of others, as far as they are known.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) status: Option<StatusCode>,
    pub(super) bytes: u64,
    pub(super) duration: Duration,
    pub(super) result: Option<CacheResult>,
    pub(super) reason: Option<Reason>,
    /// Whether the answer of the upstream is being stored; `None` where it was not asked.
    pub(super) stored: Option<bool>,
    pub(super) collapsed: bool,
    pub(super) transfer: Transfer,
    /// The body so far, where its hash is wanted. Large, so it is not there otherwise.
    pub(super) body: Option<Box<Xxh3Default>>,
}

impl Sent {
    /// The hash of a body that was sent to its end.
    pub(super) fn body_hash(&self) -> Option<u64> {
        self.body.as_ref().filter(|_| self.transfer == Transfer::Complete).map(|body| body.digest())
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, bytes, result, reason, transfer, .. } = self;
        write!(f, "{status:?}, {bytes} bytes, {result:?}, {reason:?}, {transfer:?}")
    }
}

/// A line under way. Text from outside is written into it as soon as it is known, for nothing of the request or the entry must live as long as
/// a slow client takes; the figures follow when the response has been sent, between the runs of the [`Layout`].
///
/// ```text
/// text:  runs of the request │ request id (raw) │ runs of the response
///                      begin ┘               id ┘
/// ```
#[derive(Debug, Default)]
pub(super) struct Line {
    text: Vec<u8>,
    /// Where each of these runs is, those of the request first.
    runs: SmallVec<[Range<u32>; 4]>,
    /// Where the first part ends.
    begin: usize,
    /// Where the request's own ID ends, which follows it.
    id: usize,
    protocol: Option<&'static str>,
    is_head: bool,
    pub(super) sent: Sent,
}

thread_local! {
    #[expect(clippy::vec_box, reason = "the boxes are what is used again")]
    /// Lines that have been written, for the next ones.
    static SPARE: RefCell<Vec<Box<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Lines that a thread keeps for the next requests.
const MAX_SPARE: usize = 64;
/// Bytes that a line which is kept may have room for.
const MAX_SPARE_TEXT: usize = 4096;

impl Line {
    pub(super) fn begin<B>(layout: &Layout, request: &Request<B>, client: Option<IpAddr>, time: Timestamp) -> Box<Self> {
        let mut line = Self::empty();
        let target = clipped(request.uri().path_and_query().map_or("", |target| target.as_str()));
        let (method, fields) = (request.method(), request.headers());
        let named = RequestLine { method, host: host(request.uri(), fields), target };
        line.first_part(layout, &RequestFacts { time, client, line: Some(named), fields: Some(fields) });
        line.put_id(request_id(fields));
        line.protocol = Some(protocol(request.version()));
        line.is_head = *method == Method::HEAD;
        line
    }

    /// The line of a client whose request could not be read; with the id of the response, if it has one.
    pub(super) fn unread(layout: &Layout, client: Option<IpAddr>, id: Option<&HeaderValue>, time: Timestamp) -> Box<Self> {
        let mut line = Self::empty();
        line.first_part(layout, &RequestFacts { time, client, line: None, fields: None });
        line.put_id(id.and_then(as_id));
        line
    }

    fn put_id(&mut self, id: Option<&str>) {
        if let Some(id) = id {
            self.text.extend_from_slice(id.as_bytes());
            self.id = self.text.len();
        }
    }

    fn empty() -> Box<Self> {
        match SPARE.with_borrow_mut(Vec::pop) {
            Some(mut line) => {
                line.text.clear();
                *line = Self { text: std::mem::take(&mut line.text), ..Self::default() };
                line
            }
            None => Box::new(Self { text: Vec::with_capacity(512), ..Self::default() }),
        }
    }

    fn first_part(&mut self, layout: &Layout, facts: &RequestFacts<'_>) {
        self.write_runs(layout, Phase::Request, |piece, out| match piece {
            Piece::Field(field) => facts.value(field).put(layout.style, out),
            Piece::Usual => text::begin(facts, out),
            Piece::Literal(text) => out.extend_from_slice(text),
        });
        (self.begin, self.id) = (self.text.len(), self.text.len());
    }

    fn write_runs(&mut self, layout: &Layout, phase: Phase, put: impl Fn(&Piece, &mut Vec<u8>)) {
        for run in layout.runs.iter().filter(|run| run.phase == phase) {
            let start = self.text.len();
            run.pieces.iter().for_each(|piece| put(piece, &mut self.text));
            // A line has a few times 4096 bytes at most.
            self.runs.push(start as u32..self.text.len() as u32);
        }
    }

    pub(super) fn respond(&mut self, layout: &Layout, status: StatusCode, record: &ResponseRecord<'_>) {
        self.sent.status = Some(status);
        self.sent.result = record.result;
        self.sent.reason = record.reason;
        self.sent.stored = record.stored;
        self.sent.collapsed = record.collapsed;
        // What comes from the store says nothing new of the origin, and others than a 200 are no whole representation.
        let is_news = record.result.is_some_and(|result| result != CacheResult::Hit) && status == StatusCode::OK;
        if layout.hashes_bodies && is_news && !self.has_no_body() {
            self.sent.body = Some(Box::default());
        }
        self.last_part(layout, record);
    }

    fn last_part(&mut self, layout: &Layout, record: &ResponseRecord<'_>) {
        // The ID is copied out first, since the rest is written behind it; it is short, and most requests have none.
        let mut copy = [0; MAX_REQUEST_ID];
        let raw = &self.text[self.begin..self.id];
        copy[..raw.len()].copy_from_slice(raw);
        let request_id = std::str::from_utf8(&copy[..raw.len()]).ok().filter(|id| !id.is_empty());
        let key = record.key.map(|key| clipped(key.text()));
        let facts = ResponseFacts { record, key, request_id, protocol: self.protocol };
        self.write_runs(layout, Phase::Response, |piece, out| match piece {
            Piece::Field(field) => facts.value(field).put(layout.style, out),
            Piece::Usual => text::rest(&facts, out),
            Piece::Literal(text) => out.extend_from_slice(text),
        });
    }

    /// Whether there is no body to send, whatever the response's body value holds (RFC 9110 §6.4.1).
    pub(super) fn has_no_body(&self) -> bool {
        let status = self.sent.status;
        self.is_head
            || status == Some(StatusCode::NO_CONTENT)
            || status == Some(StatusCode::NOT_MODIFIED)
            || status.is_some_and(|status| status.is_informational())
    }

    /// Appends the whole line with its line end.
    pub(super) fn finish(&mut self, layout: &Layout, out: &mut Vec<u8>) {
        if self.sent.status.is_none() {
            self.last_part(layout, &ResponseRecord::default());
        }
        let requests = layout.runs.iter().filter(|run| run.phase == Phase::Request).count();
        let (mut of_request, mut of_response) = (self.runs[..requests].iter(), self.runs[requests..].iter());
        for run in &layout.runs {
            let written = match run.phase {
                Phase::Request => of_request.next(),
                Phase::Response => of_response.next(),
                Phase::Sent => {
                    run.pieces.iter().for_each(|piece| self.put_sent(piece, layout, out));
                    None
                }
            };
            if let Some(range) = written {
                out.extend_from_slice(&self.text[range.start as usize..range.end as usize]);
            }
        }
    }

    fn put_sent(&self, piece: &Piece, layout: &Layout, out: &mut Vec<u8>) {
        match piece {
            Piece::Field(field) => sent(&self.sent, field).put(layout.style, out),
            Piece::Usual => text::sent(&self.sent, out),
            Piece::Literal(text) => out.extend_from_slice(text),
        }
    }

    /// Keeps its room for the next line of this thread.
    pub(super) fn keep(self: Box<Self>) {
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < MAX_SPARE && self.text.capacity() <= MAX_SPARE_TEXT {
                spare.push(self);
            }
        });
    }
}

/// Host and port as the client named them, without userinfo; empty where it named none.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    let named = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or(""),
    };
    clipped(memchr::memrchr(b'@', named.as_bytes()).map_or(named, |at| &named[at + 1..]))
}

/// The `X-Request-Id` field, by which other services log the same request. A value that is no text or very long is left out.
fn request_id(headers: &HeaderMap) -> Option<&str> {
    // A request has so few fields that looking at each name is cheaper than hashing the one that is wanted.
    let (_, id) = headers.iter().find(|(name, _)| name.as_str() == "x-request-id")?;
    as_id(id)
}

fn as_id(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID)
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

/// The part of a text that is written.
pub(super) fn clipped(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

#[cfg(test)]
mod tests {
    use larder_config::{AccessLog, Log, LogField, LogPiece};

    use super::*;

    fn layout() -> Layout {
        Layout::of(&Log { access: AccessLog::Json, ..Log::default() })
    }

    fn json(request: http::request::Builder) -> String {
        written(&layout(), request)
    }

    fn written(layout: &Layout, request: http::request::Builder) -> String {
        let mut out = Vec::new();
        Line::begin(layout, &request.body(()).unwrap(), None, Timestamp::from_millis(0)).finish(layout, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn member(line: &str, name: &str) -> String {
        serde_json::from_str::<serde_json::Value>(line).unwrap()[name].as_str().unwrap_or_default().to_owned()
    }

    #[test]
    fn userinfo_is_not_part_of_the_host() {
        assert_eq!(member(&json(Request::get("http://user:hush@example.com/a")), "host"), "example.com");
        assert_eq!(member(&json(Request::get("/a").header("host", "user:hush@example.com:81")), "host"), "example.com:81");
    }

    #[test]
    fn secrets_in_the_query_are_redacted() {
        let line = json(Request::get("/a?page=2&access_token=hush"));
        assert!(line.contains(r#""target":"/a?page=2&access_token=…""#), "{line}");
        assert!(!line.contains("hush"));
    }

    #[test]
    fn a_target_without_end_is_clipped() {
        assert_eq!(member(&json(Request::get(format!("/{}", "a".repeat(10_000)))), "target").len(), MAX_TEXT);
    }

    #[test]
    fn a_json_line_has_no_control_characters() {
        let target = "/\u{9b}2J\u{85}\u{2028}\u{202e}gpj.exe?\u{2066}=ä\"\\";
        let (layout, mut line) = (layout(), Line::empty());
        let named = RequestLine { method: &Method::GET, host: "", target };
        line.first_part(&layout, &RequestFacts { time: Timestamp::from_millis(0), client: None, line: Some(named), fields: None });
        let mut out = Vec::new();
        line.finish(&layout, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.trim_end_matches('\n').chars().all(|character| !crate::one_line::is_control(character)), "{text}");
        assert_eq!(member(&text, "target"), target);
    }

    #[test]
    fn a_json_line_is_one_line() {
        let line = json(Request::get("/a").header("host", "x"));
        assert_eq!(line.lines().count(), 1);
        assert!(line.starts_with(r#"{"timestamp":"1970-01-01T00:00:00.000Z","client":null,"#), "{line}");
        assert!(line.ends_with("}\n"));
    }

    #[test]
    fn a_line_that_is_used_again_has_nothing_of_the_one_before() {
        let request = Request::head("/secret").header("x-request-id", "first").body(()).unwrap();
        let layout = layout();
        let mut line = Line::begin(&layout, &request, Some([10, 0, 0, 7].into()), Timestamp::from_millis(0));
        line.respond(&layout, StatusCode::OK, &ResponseRecord { collapsed: true, stored: Some(true), ..ResponseRecord::default() });
        line.keep();
        let second = json(Request::get("/a"));
        assert_eq!(second, json(Request::get("/a")));
        assert!(!second.contains("secret") && !second.contains("first") && !second.contains("10.0.0.7"), "{second}");
        assert!(second.contains(r#""method":"GET""#) && second.contains(r#""stored":null"#), "{second}");
    }

    #[test]
    fn members_stand_in_the_order_in_which_they_are_named() {
        let agent = LogField::Header(header::USER_AGENT);
        let fields = vec![LogField::Transfer, agent, LogField::Status, LogField::Protocol, LogField::Host, LogField::RequestId];
        let layout = Layout::of(&Log { access: AccessLog::Json, fields: Some(fields), ..Log::default() });
        let request = Request::get("/a").header("host", "x").header("user-agent", "curl \"8\"").header("x-request-id", "7f");
        assert_eq!(
            written(&layout, request),
            "{\"transfer\":\"aborted\",\"header.user-agent\":\"curl \\\"8\\\"\",\"status\":null,\"protocol\":\"HTTP/1.1\",\"host\":\"x\",\"request_id\":\"7f\"}\n"
        );
    }

    #[test]
    fn a_format_is_filled_and_a_client_cannot_leave_its_quotes() {
        let (literal, field) = (|text: &str| LogPiece::Literal(text.to_owned()), LogPiece::Field);
        let pieces = vec![
            field(LogField::Status),
            literal(" \""),
            field(LogField::Header(header::REFERER)),
            literal("\" "),
            field(LogField::Client),
            literal(" {"),
            field(LogField::Method),
            literal("}"),
        ];
        let layout = Layout::of(&Log { format: Some(pieces), ..Log::default() });
        let request = Request::get("/a").header("referer", "https://a/?token=hush&b=\"2");
        assert_eq!(written(&layout, request), "- \"https://a/?token=…&b=\\\"2\" - {GET}\n");
    }
}
