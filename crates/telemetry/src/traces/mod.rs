//! Traces: what became of a sampled request, step by step, for OpenTelemetry.
//!
//! ```text
//! Tracer::begin ─> RequestTrace ──span──> a bounded queue ─> Exporter::run ─> batches as OTLP JSON ─> whoever sends them
//!  (head read)      (each step)            (full: dropped)
//! ```
//!
//! 1. [`TraceParent`] reads and writes the W3C field `traceparent`;
//! 2. [`Tracer`] decides which requests are traced: as their caller did, where that is believed, and otherwise by chance;
//! 3. [`RequestTrace`] makes spans of the steps of one request;
//! 4. [`Exporter`] gathers them into batches, and [`SendBatch`] sends those.
//!
//! A request that is not traced costs a draw; with traces off, nothing. No request ever waits for the exporter.

mod context;
mod encode;
mod exporter;
mod request;
mod span;
mod tracer;

pub use context::{TraceId, TraceParent};
pub use exporter::{Exporter, SendBatch, SendError};
pub use request::{RequestSpan, RequestTrace};
pub use span::{Attribute, Link, Span, SpanKind, Value};
pub use tracer::{SpanCounts, StopExport, Tracer};
