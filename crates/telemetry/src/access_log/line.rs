//! One line of the access log.

use std::cell::RefCell;
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode, Uri, Version, header};
use larder_semantics::{Reason, Timestamp};
use larder_tower::CacheResult;

use super::{ResponseRecord, json, text};

/// Bytes of a target or key that are written at most: clients choose their length, and many lines are under way at a time.
const MAX_TEXT: usize = 4096;
/// Bytes of a request ID that are written at most. The usual formats have 16 to 64.
const MAX_REQUEST_ID: usize = 128;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, always with the same members.
    Json,
    /// For reading.
    Text,
}

/// How the sending of a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    /// The whole body was handed to the connection.
    Complete,
    /// The client left, or the body broke off.
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
#[derive(Debug)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a Method,
    /// Host and port as the client named them, without userinfo; empty where it named none.
    pub(super) host: &'a str,
    pub(super) target: &'a str,
}

/// The facts that are no text of others, as far as they are known.
#[derive(Debug)]
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
}

/// A line under way. Text from outside is written into it as soon as it is known, for nothing of the request or the entry must live as long as
/// a slow client takes; the figures in its middle follow when the response has been sent.
///
/// ```text
/// text:  time, client, method, host, target │ request id (raw) │ route, key, upstream, …
///                                      begin ┘               id ┘
/// ```
#[derive(Debug)]
pub(super) struct Line {
    format: Format,
    text: Vec<u8>,
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
    pub(super) fn begin<B>(format: Format, request: &Request<B>, client: Option<IpAddr>, time: Timestamp) -> Box<Self> {
        let mut line = Self::empty(format);
        let target = clipped(request.uri().path_and_query().map_or("", |target| target.as_str()));
        let method = request.method();
        line.first_part(client, time, Some(&RequestLine { method, host: host(request.uri(), request.headers()), target }));
        if let Some(id) = request_id(request.headers()) {
            line.text.extend_from_slice(id.as_bytes());
            line.id = line.text.len();
        }
        line.protocol = Some(protocol(request.version()));
        line.is_head = *method == Method::HEAD;
        line
    }

    /// The line of a client whose request could not be read.
    pub(super) fn unread(format: Format, client: Option<IpAddr>, time: Timestamp) -> Box<Self> {
        let mut line = Self::empty(format);
        line.first_part(client, time, None);
        line
    }

    fn empty(format: Format) -> Box<Self> {
        let sent = Sent {
            status: None,
            bytes: 0,
            duration: Duration::ZERO,
            result: None,
            reason: None,
            stored: None,
            collapsed: false,
            transfer: Transfer::Aborted,
        };
        match SPARE.with_borrow_mut(Vec::pop) {
            Some(mut line) => {
                line.text.clear();
                *line = Self { format, text: std::mem::take(&mut line.text), begin: 0, id: 0, protocol: None, is_head: false, sent };
                line
            }
            None => Box::new(Self { format, text: Vec::with_capacity(512), begin: 0, id: 0, protocol: None, is_head: false, sent }),
        }
    }

    fn first_part(&mut self, client: Option<IpAddr>, time: Timestamp, request: Option<&RequestLine<'_>>) {
        match self.format {
            Format::Json => json::begin(time, client, request, &mut self.text),
            Format::Text => text::begin(time, client, request, &mut self.text),
        }
        (self.begin, self.id) = (self.text.len(), self.text.len());
    }

    pub(super) fn respond(&mut self, status: StatusCode, record: &ResponseRecord<'_>) {
        self.sent.status = Some(status);
        self.sent.result = record.result;
        self.sent.reason = record.reason;
        self.sent.stored = record.stored;
        self.sent.collapsed = record.collapsed;
        self.last_part(record);
    }

    fn last_part(&mut self, record: &ResponseRecord<'_>) {
        // The ID is copied out first, since the rest is written behind it; it is short, and most requests have none.
        let mut copy = [0; MAX_REQUEST_ID];
        let raw = &self.text[self.begin..self.id];
        copy[..raw.len()].copy_from_slice(raw);
        let id = std::str::from_utf8(&copy[..raw.len()]).ok().filter(|id| !id.is_empty());
        let key = record.key.map(|key| clipped(key.text()));
        match self.format {
            Format::Json => json::rest(record, key, id, self.protocol, &mut self.text),
            Format::Text => text::rest(record, key, id, self.protocol, &mut self.text),
        }
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
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.sent.status.is_none() {
            self.last_part(&ResponseRecord::default());
        }
        out.extend_from_slice(&self.text[..self.begin]);
        let rest = &self.text[self.id..];
        match self.format {
            Format::Json => {
                json::sent(&self.sent, out);
                out.extend_from_slice(rest);
                json::end(&self.sent, out);
            }
            Format::Text => {
                text::sent(&self.sent, out);
                out.extend_from_slice(rest);
            }
        }
        out.push(b'\n');
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
    clipped(named.rsplit('@').next().unwrap_or(named))
}

/// The `X-Request-Id` field, by which other services log the same request. A value that is no text or very long is left out.
fn request_id(headers: &HeaderMap) -> Option<&str> {
    // A request has so few fields that looking at each name is cheaper than hashing the one that is wanted.
    let (_, id) = headers.iter().find(|(name, _)| name.as_str() == "x-request-id")?;
    id.to_str().ok().filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID)
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

fn clipped(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(request: http::request::Builder) -> String {
        let mut out = Vec::new();
        Line::begin(Format::Json, &request.body(()).unwrap(), None, Timestamp::from_millis(0)).finish(&mut out);
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
        let mut line = Line::unread(Format::Json, None, Timestamp::from_millis(0));
        line.text.clear();
        line.first_part(None, Timestamp::from_millis(0), Some(&RequestLine { method: &Method::GET, host: "", target }));
        let mut out = Vec::new();
        line.finish(&mut out);
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
        let mut line = Line::begin(Format::Json, &request, Some([10, 0, 0, 7].into()), Timestamp::from_millis(0));
        line.respond(StatusCode::OK, &ResponseRecord { collapsed: true, stored: Some(true), ..ResponseRecord::default() });
        line.keep();
        let second = json(Request::get("/a"));
        assert_eq!(second, json(Request::get("/a")));
        assert!(!second.contains("secret") && !second.contains("first") && !second.contains("10.0.0.7"), "{second}");
        assert!(second.contains(r#""method":"GET""#) && second.contains(r#""stored":null"#), "{second}");
    }
}
