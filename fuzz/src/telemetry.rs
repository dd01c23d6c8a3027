//! Targets of `larder-telemetry`: the trace context of clients and proxies.

use http::{HeaderMap, HeaderName, HeaderValue};
use larder_telemetry::traces::TraceParent;

/// Every target of this crate.
pub const TARGETS: &[super::FuzzTarget] = &[("trace_context", trace_context)];

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// `traceparent`, a line a field. One that is read names a trace and a span, and is read the same when it was written again; of two, none is.
pub fn trace_context(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let lines = data.split(|&byte| byte == b'\n').take(3).filter_map(|line| HeaderValue::from_bytes(line).ok());
    lines.for_each(|line| _ = headers.append(TRACEPARENT, line));
    let Some(parent) = TraceParent::of(&headers) else { return };
    assert!(headers.len() == 1 && parent.trace.0 != 0 && parent.span != 0, "{parent:?}");
    let written = parent.to_value();
    assert_eq!(written.len(), 55, "{written:?}");
    let again = HeaderMap::from_iter([(TRACEPARENT, written)]);
    assert_eq!(TraceParent::of(&again), Some(parent));
    headers.append(TRACEPARENT, HeaderValue::from_static("00"));
    assert_eq!(TraceParent::of(&headers), None, "it is not clear which one counts");
}
