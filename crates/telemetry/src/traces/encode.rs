//! Spans as JSON of the OpenTelemetry protocol (OTLP/HTTP, version 1).
//!
//! Its binary form would be a third of the size and need code that is generated from its schema; collectors take both.

use serde::Serialize;
use serde::ser::{SerializeSeq as _, Serializer};
use serde_json::{Value as Json, json};

use super::span::{Attribute, Span, SpanKind, Value};

/// A request's content with these spans.
pub(super) fn encode(spans: &[Span], resource: &[Attribute]) -> Vec<u8> {
    let request = Request {
        resource_spans: [ResourceSpans {
            resource: Resource { attributes: Attributes(resource) },
            scope_spans: [ScopeSpans { scope: Scope { name: "larder", version: env!("CARGO_PKG_VERSION") }, spans: Spans(spans) }],
        }],
    };
    // Plain data; there is nothing in it that could fail.
    serde_json::to_vec(&request).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: Attributes<'a>,
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Spans<'a>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

struct Attributes<'a>(&'a [Attribute]);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (key, value) in self.0 {
            // Numbers of 64 bits are text in the JSON of protocol buffers.
            let value = match value {
                Value::Text(text) => json!({ "stringValue": text }),
                Value::Number(number) => json!({ "intValue": number.to_string() }),
                Value::Bool(value) => json!({ "boolValue": value }),
            };
            list.serialize_element(&json!({ "key": key, "value": value }))?;
        }
        list.end()
    }
}

struct Spans<'a>(&'a [Span]);

impl Serialize for Spans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        self.0.iter().try_for_each(|span| list.serialize_element(&WireSpan::of(span)))?;
        list.end()
    }
}

/// Names of traces and spans are hexadecimal here, which protocol buffers would have in base64.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireSpan<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Attributes<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Json>,
}

impl<'a> WireSpan<'a> {
    fn of(span: &'a Span) -> Self {
        let link = |link: &super::span::Link| json!({ "traceId": link.trace.to_string(), "spanId": hex(link.span) });
        Self {
            trace_id: span.trace.to_string(),
            span_id: hex(span.id),
            parent_span_id: span.parent.map(hex),
            name: &span.name,
            kind: match span.kind {
                SpanKind::Internal => 1,
                SpanKind::Server => 2,
                SpanKind::Client => 3,
            },
            start_time_unix_nano: span.start.to_string(),
            end_time_unix_nano: span.end.to_string(),
            attributes: Attributes(&span.attributes),
            links: span.links.iter().map(link).collect(),
            status: span.error.map(|error| json!({ "code": 2, "message": error })),
        }
    }
}

fn hex(id: u64) -> String {
    format!("{id:016x}")
}

#[cfg(test)]
mod tests {
    use super::super::{Link, TraceId};
    use super::*;

    #[test]
    fn a_batch_is_what_collectors_read() {
        let span = Span {
            trace: TraceId(0x4bf9),
            id: 7,
            parent: Some(3),
            name: "origin".into(),
            kind: SpanKind::Client,
            start: 1_795_253_400_123_000_000,
            end: 1_795_253_400_124_000_000,
            attributes: vec![("http.response.status_code", Value::Number(503)), ("server.address", "a\"b".into()), ("stored", true.into())],
            links: vec![Link { trace: TraceId(1), span: 2 }],
            error: Some("connection_refused"),
        };
        let found: Json = serde_json::from_slice(&encode(&[span], &[("service.name", "larder".into())])).expect("JSON");
        let expected = json!({ "resourceSpans": [{
            "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "larder" } }] },
            "scopeSpans": [{
                "scope": { "name": "larder", "version": env!("CARGO_PKG_VERSION") },
                "spans": [{
                    "traceId": "00000000000000000000000000004bf9",
                    "spanId": "0000000000000007",
                    "parentSpanId": "0000000000000003",
                    "name": "origin",
                    "kind": 3,
                    "startTimeUnixNano": "1795253400123000000",
                    "endTimeUnixNano": "1795253400124000000",
                    "attributes": [
                        { "key": "http.response.status_code", "value": { "intValue": "503" } },
                        { "key": "server.address", "value": { "stringValue": "a\"b" } },
                        { "key": "stored", "value": { "boolValue": true } },
                    ],
                    "links": [{ "traceId": "00000000000000000000000000000001", "spanId": "0000000000000002" }],
                    "status": { "code": 2, "message": "connection_refused" },
                }],
            }],
        }] });
        assert_eq!(found, expected);
    }
}
