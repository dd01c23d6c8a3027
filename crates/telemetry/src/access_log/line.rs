//! One line of the access log.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode, Uri, Version, header};
use larder_semantics::{PrimaryKey, Reason, Timestamp};
use larder_tower::CacheResult;
use serde::{Serialize, Serializer};

use super::ResponseRecord;
use super::redact::redacted;
use super::text;
use crate::one_line::OneLine;
use larder_message::problem::Problem;

/// Bytes of a target or key that are written at most: clients choose their length, and the queue holds thousands of lines.
const MAX_TEXT: usize = 4096;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, always with the same members.
    Json,
    /// For reading.
    Text,
}

/// How the sending of a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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

/// One request as the log describes it. Owns its strings: those of the request would keep the connection's read buffer alive.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) time: Timestamp,
    pub(super) client: Option<IpAddr>,
    /// `None` where no request could be read.
    pub(super) method: Option<Method>,
    pub(super) host: Box<str>,
    pub(super) target: Box<str>,
    pub(super) status: Option<StatusCode>,
    pub(super) bytes: u64,
    pub(super) duration: Duration,
    pub(super) result: Option<CacheResult>,
    pub(super) reason: Option<Reason>,
    pub(super) route: Option<Arc<str>>,
    pub(super) key: Option<PrimaryKey>,
    /// Whether the answer of the upstream is being stored; `None` where it was not asked.
    pub(super) stored: Option<bool>,
    pub(super) collapsed: bool,
    pub(super) upstream: Option<Arc<str>>,
    pub(super) upstream_status: Option<StatusCode>,
    pub(super) upstream_time: Option<Duration>,
    /// As the client or a proxy before Larder sent it.
    pub(super) request_id: Option<Box<str>>,
    pub(super) protocol: Option<&'static str>,
    pub(super) problem: Option<&'static str>,
    pub(super) transfer: Transfer,
}

impl Line {
    pub(super) fn begin<B>(request: &Request<B>, client: Option<IpAddr>, time: Timestamp) -> Self {
        Self {
            method: Some(request.method().clone()),
            host: host(request.uri(), request.headers()).into(),
            target: clipped(request.uri().path_and_query().map_or("", |target| target.as_str())).into(),
            request_id: request_id(request.headers()),
            protocol: Some(protocol(request.version())),
            ..Self::unread(client, time)
        }
    }

    /// The line of a client whose request could not be read.
    pub(super) fn unread(client: Option<IpAddr>, time: Timestamp) -> Self {
        Self {
            time,
            client,
            method: None,
            host: Box::default(),
            target: Box::default(),
            status: None,
            bytes: 0,
            duration: Duration::ZERO,
            result: None,
            reason: None,
            route: None,
            key: None,
            stored: None,
            collapsed: false,
            upstream: None,
            upstream_status: None,
            upstream_time: None,
            request_id: None,
            protocol: None,
            problem: None,
            transfer: Transfer::Aborted,
        }
    }

    pub(super) fn respond(&mut self, status: StatusCode, record: &ResponseRecord<'_>) {
        self.status = Some(status);
        self.result = record.result;
        self.reason = record.reason;
        self.route = record.route.map(Arc::clone);
        self.key = record.key.cloned();
        self.stored = record.stored;
        self.collapsed = record.collapsed;
        self.upstream = record.upstream.map(Arc::clone);
        self.upstream_status = record.upstream_status;
        self.upstream_time = record.upstream_time;
        self.problem = record.problem.as_ref().map(Problem::detail);
    }

    /// Whether there is no body to send, whatever the response's body value holds (RFC 9110 §6.4.1).
    pub(super) fn has_no_body(&self) -> bool {
        let status = self.status;
        self.method == Some(Method::HEAD)
            || status == Some(StatusCode::NO_CONTENT)
            || status == Some(StatusCode::NOT_MODIFIED)
            || status.is_some_and(|status| status.is_informational())
    }

    /// Appends the line with its line end.
    pub(super) fn write(&self, format: Format, out: &mut Vec<u8>) {
        match format {
            Format::Json => {
                let start = out.len();
                // Neither the types here nor a `Vec` can fail; half a line would spoil its neighbours.
                if Json::from(self).serialize(&mut serde_json::Serializer::with_formatter(&mut *out, OneLine::default())).is_err() {
                    out.truncate(start);
                    return;
                }
            }
            Format::Text => text::write(self, out),
        }
        out.push(b'\n');
    }

    pub(super) fn key_text(&self) -> Option<&str> {
        self.key.as_ref().map(|key| clipped(key.text()))
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

/// Bytes of a request ID that are written at most. The usual formats have 16 to 64.
const MAX_REQUEST_ID: usize = 128;

/// The `X-Request-Id` field, by which other services log the same request. A value that is no text or very long is left out.
fn request_id(headers: &HeaderMap) -> Option<Box<str>> {
    // A request has so few fields that looking at each name is cheaper than hashing the one that is wanted.
    let (_, id) = headers.iter().find(|(name, _)| name.as_str() == "x-request-id")?;
    id.to_str().ok().filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID).map(Into::into)
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

/// A [`Line`] as JSON. Names and units are public interface.
#[derive(Serialize)]
struct Json<'a> {
    /// Under the name that it has in the JSON of `diagnostics`.
    #[serde(rename = "timestamp", serialize_with = "rfc3339")]
    time: Timestamp,
    client: Option<IpAddr>,
    method: Option<&'a str>,
    host: &'a str,
    target: std::borrow::Cow<'a, str>,
    status: Option<u16>,
    bytes: u64,
    duration_us: u64,
    result: Option<&'static str>,
    reason: Option<&'static str>,
    route: Option<&'a str>,
    key: Option<std::borrow::Cow<'a, str>>,
    stored: Option<bool>,
    collapsed: bool,
    upstream: Option<&'a str>,
    upstream_status: Option<u16>,
    upstream_us: Option<u64>,
    request_id: Option<&'a str>,
    protocol: Option<&'static str>,
    problem: Option<&'static str>,
    transfer: Transfer,
}

impl<'a> From<&'a Line> for Json<'a> {
    fn from(line: &'a Line) -> Self {
        Self {
            time: line.time,
            client: line.client,
            method: line.method.as_ref().map(Method::as_str),
            host: &line.host,
            target: redacted(&line.target),
            status: line.status.map(|status| status.as_u16()),
            bytes: line.bytes,
            duration_us: micros(line.duration),
            result: line.result.map(CacheResult::logged),
            reason: line.reason.map(Reason::as_str),
            route: line.route.as_deref(),
            key: line.key_text().map(redacted),
            stored: line.stored,
            collapsed: line.collapsed,
            upstream: line.upstream.as_deref(),
            upstream_status: line.upstream_status.map(|status| status.as_u16()),
            upstream_us: line.upstream_time.map(micros),
            request_id: line.request_id.as_deref(),
            protocol: line.protocol,
            problem: line.problem,
            transfer: line.transfer,
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Rfc3339(*time))
}

thread_local! {
    /// The last second that was written, and how: lines of one second follow each other.
    static SECOND: RefCell<(Option<u64>, String)> = const { RefCell::new((None, String::new())) };
}

/// A time as RFC 3339 in UTC with milliseconds.
pub(super) struct Rfc3339(pub(super) Timestamp);

impl std::fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (second, millis) = (self.0.as_millis() / 1_000, self.0.as_millis() % 1_000);
        SECOND.with_borrow_mut(|(known, text)| {
            if *known != Some(second) {
                // Out of range only after the year 9999.
                let time = i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
                *text = format!("{:.0}", time.unwrap_or(jiff::Timestamp::MAX));
                *known = Some(second);
            }
            write!(f, "{}.{millis:03}Z", text.trim_end_matches('Z'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(request: http::request::Builder) -> Line {
        Line::begin(&request.body(()).unwrap(), None, Timestamp::from_millis(0))
    }

    fn json(line: &Line) -> String {
        let mut out = Vec::new();
        line.write(Format::Json, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn userinfo_is_not_part_of_the_host() {
        assert_eq!(&*begin(Request::get("http://user:hush@example.com/a")).host, "example.com");
        assert_eq!(&*begin(Request::get("/a").header("host", "user:hush@example.com:81")).host, "example.com:81");
    }

    #[test]
    fn secrets_in_the_query_are_redacted() {
        let line = json(&begin(Request::get("/a?page=2&access_token=hush")));
        assert!(line.contains(r#""target":"/a?page=2&access_token=…""#), "{line}");
        assert!(!line.contains("hush"));
    }

    #[test]
    fn a_target_without_end_is_clipped() {
        let line = begin(Request::get(format!("/{}", "a".repeat(10_000))));
        assert_eq!(line.target.len(), MAX_TEXT);
    }

    #[test]
    fn a_json_line_has_no_control_characters() {
        let target = "/\u{9b}2J\u{85}\u{2028}\u{202e}gpj.exe?\u{2066}=ä";
        let mut line = begin(Request::get("/"));
        line.target = target.into();
        let text = json(&line);
        assert!(text.trim_end_matches('\n').chars().all(|character| !crate::one_line::is_control(character)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["target"], target);
    }

    #[test]
    fn a_json_line_is_one_line() {
        let line = json(&begin(Request::get("/a").header("host", "x")));
        assert_eq!(line.lines().count(), 1);
        assert!(line.starts_with(r#"{"timestamp":"1970-01-01T00:00:00.000Z","client":null,"#), "{line}");
        assert!(line.ends_with("}\n"));
    }
}
