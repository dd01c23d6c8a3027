//! One request, as people who look see it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Request, StatusCode, header};
use larder_semantics::{Reason, Timestamp};
use larder_tower::CacheResult;
use serde::{Serialize, Serializer};

use super::hot::HotRequest;
use super::observers::Observers;
use crate::access_log::{ResponseRecord, micros, redacted, timestamp};

/// Bytes of a text that is kept at most: clients choose their length.
const MAX_TEXT: usize = 4096;

/// Bytes of a request ID that is kept at most.
const MAX_REQUEST_ID: usize = 128;

/// A request under way that somebody is to see.
#[derive(Debug)]
pub struct Happening {
    observers: Arc<Observers>,
    /// Where somebody looks.
    happened: Option<Happened>,
    /// Where it counts for the hot list.
    hot: Option<HotRequest>,
}

/// A request whose response's head was ready. The names are those of the access log, where that has the
/// same.
#[derive(Debug, Serialize)]
pub struct Happened {
    #[serde(serialize_with = "as_rfc3339")]
    pub(super) timestamp: Timestamp,
    pub(super) client: IpAddr,
    pub(super) method: Box<str>,
    pub(super) scheme: &'static str,
    pub(super) host: Box<str>,
    /// Secrets in it are masked.
    pub(super) target: Box<str>,
    pub(super) status: Option<u16>,
    /// The length of the body, where it is known beforehand.
    pub(super) bytes: Option<u64>,
    /// From the request's head to the response's head.
    pub(super) duration_us: u64,
    pub(super) result: Option<&'static str>,
    pub(super) reason: Option<&'static str>,
    pub(super) route: Option<Box<str>>,
    pub(super) key: Option<Box<str>>,
    pub(super) stored: Option<bool>,
    pub(super) collapsed: bool,
    pub(super) upstream: Option<Box<str>>,
    pub(super) upstream_server: Option<Box<str>>,
    pub(super) upstream_status: Option<u16>,
    pub(super) upstream_us: Option<u64>,
    /// The part of that which went into new connections; not in the log.
    pub(super) connect_us: Option<u64>,
    /// How often it was sent to a server; not in the log.
    pub(super) attempts: Option<u32>,
    pub(super) request_id: Option<Box<str>>,
    pub(super) trace_id: Option<Box<str>>,
    pub(super) problem: Option<&'static str>,
}

impl Happened {
    pub(super) fn new<B>(request: &Request<B>, scheme: &'static str, client: IpAddr, now: Timestamp) -> Self {
        let (uri, headers) = (request.uri(), request.headers());
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let host = uri.authority().map(|authority| authority.as_str()).or_else(|| text(header::HOST.as_str())).unwrap_or_default();
        let target = redacted(clipped(uri.path_and_query().map_or("", |target| target.as_str())));
        Self {
            timestamp: now,
            client,
            method: request.method().as_str().into(),
            scheme,
            host: clipped(host.rsplit('@').next().unwrap_or(host)).into(),
            target: target.into(),
            status: None,
            bytes: None,
            duration_us: 0,
            result: None,
            reason: None,
            route: None,
            key: None,
            stored: None,
            collapsed: false,
            upstream: None,
            upstream_server: None,
            upstream_status: None,
            upstream_us: None,
            connect_us: None,
            attempts: None,
            request_id: text("x-request-id").filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID).map(Into::into),
            trace_id: None,
            problem: None,
        }
    }
}

impl Happening {
    pub(super) fn new(observers: Arc<Observers>, happened: Option<Happened>, hot: Option<HotRequest>) -> Self {
        Self { observers, happened, hot }
    }

    /// The head of its response is ready: those who look see it now. `keyed` are the fields that are part of its key.
    pub fn ended(self, status: StatusCode, bytes: Option<u64>, elapsed: Duration, record: &ResponseRecord<'_>, keyed: &[HeaderName]) {
        if let Some(hot) = &self.hot {
            self.observers.see_hot(hot, status, record, keyed);
        }
        let Some(happened) = self.happened else { return };
        let happened = Happened {
            status: Some(status.as_u16()),
            bytes,
            duration_us: micros(elapsed),
            result: record.result.map(CacheResult::logged),
            reason: record.reason.map(Reason::as_str),
            route: record.route.map(|name| (**name).into()),
            key: record.key.map(|key| redacted(clipped(key.text())).into()),
            stored: record.stored,
            collapsed: record.collapsed,
            upstream: record.upstream.map(|name| (**name).into()),
            upstream_server: record.upstream_server.map(Into::into),
            upstream_status: record.upstream_status.map(|status| status.as_u16()),
            upstream_us: record.upstream_time.map(micros),
            connect_us: record.upstream_connect.map(micros),
            attempts: record.upstream_attempts,
            trace_id: record.trace.map(|trace| trace.to_string().into()),
            problem: record.problem.map(|problem| problem.detail()),
            ..happened
        };
        self.observers.see(happened);
    }
}

impl Happened {
    pub(super) fn json(&self) -> String {
        // Plain data; there is nothing in it that could fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Host and path, for patterns.
    pub(super) fn host_and_path(&self) -> Cow<'_, str> {
        format!("{}{}", self.host, self.target.split('?').next().unwrap_or_default()).into()
    }
}

fn as_rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*time))
}

fn clipped(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_texts_are_bounded() {
        let target = format!("/a?access_token=hush&b={}", "x".repeat(9000));
        let request = Request::get(target).header("host", "u:hush@a.example").body(()).expect("a request");
        let noted = Happened::new(&request, "https", IpAddr::from([127, 0, 0, 1]), Timestamp::default());
        let json = noted.json();
        assert!(!json.contains("hush") && json.len() < 6000, "{json}");
        assert!(json.contains(r#""scheme":"https","host":"a.example","target":"/a?access_token=…&b=x"#), "{json}");
    }
}
