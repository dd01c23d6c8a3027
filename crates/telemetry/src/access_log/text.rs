//! The readable form of a line.
//!
//! ```text
//! 2026-11-21T09:30:00.123Z 127.0.0.1 "GET api.example.com/api/v1/issues?project=p" 200 5321B 0.312ms HIT fresh route="issue.list" key="v1:…"
//! ```

use larder_semantics::Reason;
use larder_tower::CacheResult;

use super::facts::{RequestFacts, ResponseFacts};
use super::line::{Sent, Transfer};
use super::put;
use super::put::escaped;
use super::redact::redacted;

/// The part that is known with the request.
pub(super) fn begin(facts: &RequestFacts<'_>, out: &mut Vec<u8>) {
    put::rfc3339(facts.time, out);
    out.push(b' ');
    match facts.client {
        Some(client) => put::address(client, out),
        None => out.push(b'-'),
    }
    out.push(b' ');
    match facts.line {
        Some(request) => {
            out.push(b'"');
            out.extend_from_slice(request.method.as_str().as_bytes());
            out.push(b' ');
            escaped(request.host, out);
            escaped(&redacted(request.target), out);
            out.extend_from_slice(b"\" ");
        }
        None => out.extend_from_slice(b"- "),
    }
}

/// The part that is known when the response has been sent, but for [`rest`].
pub(super) fn sent(sent: &Sent, out: &mut Vec<u8>) {
    match sent.status {
        Some(status) => out.extend_from_slice(status.as_str().as_bytes()),
        None => out.push(b'-'),
    }
    out.push(b' ');
    put::number(sent.bytes, out);
    out.extend_from_slice(b"B ");
    put::millis(sent.duration, out);
    out.push(b' ');
    out.extend_from_slice(sent.result.map_or("-", CacheResult::logged).as_bytes());
    out.push(b' ');
    out.extend_from_slice(sent.reason.map_or("-", Reason::as_str).as_bytes());
    if let Some(stored) = sent.stored {
        out.extend_from_slice(if stored { b" stored=yes" } else { b" stored=no" });
    }
    if sent.transfer != Transfer::Complete {
        out.push(b' ');
        out.extend_from_slice(sent.transfer.as_str().as_bytes());
    }
    // The reason says so already for most followers.
    if sent.collapsed && sent.reason != Some(Reason::Collapsed) {
        out.extend_from_slice(b" collapsed");
    }
}

/// The part behind that.
pub(super) fn rest(ResponseFacts { record, key, request_id, protocol }: &ResponseFacts<'_>, out: &mut Vec<u8>) {
    if let Some(upstream) = record.upstream {
        quoted(" upstream=", upstream, out);
    }
    if let Some(server) = record.upstream_server {
        quoted(" server=", server, out);
    }
    if let Some(status) = record.upstream_status {
        out.extend_from_slice(b" upstream_status=");
        out.extend_from_slice(status.as_str().as_bytes());
    }
    if let Some(time) = record.upstream_time {
        out.extend_from_slice(b" upstream_time=");
        put::millis(time, out);
    }
    if let Some(route) = record.route {
        quoted(" route=", route, out);
    }
    if let Some(key) = key {
        quoted(" key=", &redacted(key), out);
    }
    if let Some(id) = request_id {
        quoted(" request_id=", id, out);
    }
    if let Some(trace) = record.trace {
        quoted(" trace_id=", &trace.to_string(), out);
    }
    // The usual version is left out.
    if let Some(protocol) = protocol.filter(|protocol| *protocol != "HTTP/1.1") {
        out.extend_from_slice(b" protocol=");
        out.extend_from_slice(protocol.as_bytes());
    }
    if let Some(tokens) = record.tokens_saved {
        out.extend_from_slice(b" tokens_saved=");
        put::number(tokens, out);
    }
    if let Some(problem) = &record.problem {
        quoted(" problem=", problem.detail(), out);
    }
}

fn quoted(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
    escaped(value, out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::{Method, Request, StatusCode};

    use larder_config::Log;
    use larder_semantics::Timestamp;

    use super::super::ResponseRecord;
    use super::super::layout::Layout;
    use super::super::line::{Line, RequestLine};
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_123);

    fn layout() -> Layout {
        Layout::of(&Log::default())
    }

    fn text(line: &mut Line) -> String {
        let mut out = Vec::new();
        line.finish(&layout(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_hit_reads_well() {
        let request = Request::get("/api/v1/issues?project=p&api_key=hush").header("host", "api.example.com").body(()).unwrap();
        let mut line = Line::begin(&layout(), &request, Some([10, 0, 0, 7].into()), NOW);
        let route: Arc<str> = Arc::from("issue.list");
        let record = ResponseRecord {
            route: Some(&route),
            result: Some(CacheResult::Hit),
            reason: Some(Reason::Fresh),
            tokens_saved: Some(812),
            ..ResponseRecord::default()
        };
        line.respond(&layout(), StatusCode::OK, &record);
        line.sent.bytes = 5321;
        line.sent.duration = Duration::from_micros(312);
        line.sent.transfer = Transfer::Complete;
        assert_eq!(
            text(&mut line),
            "2026-11-21T09:30:00.123Z 10.0.0.7 \"GET api.example.com/api/v1/issues?project=p&api_key=…\" 200 5321B 0.312ms HIT fresh \
             route=\"issue.list\" tokens_saved=812\n"
        );
    }

    #[test]
    fn an_aborted_request_says_so() {
        let request = Request::get("/").version(http::Version::HTTP_2).header("x-request-id", "7f").body(()).unwrap();
        let mut line = Line::begin(&layout(), &request, None, NOW);
        let upstream: Arc<str> = Arc::from("api");
        let record = ResponseRecord {
            collapsed: true,
            upstream: Some(&upstream),
            upstream_server: Some("http://10.0.0.1:3000"),
            upstream_status: Some(StatusCode::NOT_FOUND),
            stored: Some(false),
            upstream_time: Some(Duration::from_millis(1200)),
            ..ResponseRecord::default()
        };
        line.respond(&layout(), StatusCode::NOT_FOUND, &record);
        let end = " upstream=\"api\" server=\"http://10.0.0.1:3000\" upstream_status=404 upstream_time=1200.000ms request_id=\"7f\" protocol=HTTP/2\n";
        let text = text(&mut line);
        assert!(text.ends_with(&format!(" 404 0B 0.000ms - - stored=no aborted collapsed{end}")), "{text}");
    }

    #[test]
    fn a_line_without_a_response_has_the_clients_name_for_the_request() {
        let request = Request::get("/").header("x-request-id", "7f").body(()).unwrap();
        let text = text(&mut Line::begin(&layout(), &request, None, NOW));
        assert!(text.ends_with(" - 0B 0.000ms - - aborted request_id=\"7f\"\n"), "{text}");
    }

    #[test]
    fn text_of_a_client_cannot_forge_a_line() {
        let mut out = Vec::new();
        let target = "/a\"\n2026 forged\u{1b}[2J\\\u{202e}";
        let line = Some(RequestLine { method: &Method::GET, host: "", target });
        begin(&RequestFacts { time: NOW, client: None, line, fields: None }, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains(r#"/a\"\n2026 forged\u{1b}[2J\\\u{202e}""#), "{text}");
    }
}
