//! Which requests are traced, and the queue that their spans go into.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use http::HeaderMap;
use larder_semantics::Timestamp;
use tokio::sync::{Notify, mpsc};

use super::context::{TraceId, TraceParent};
use super::exporter::Exporter;
use super::request::{Anchor, RequestTrace};
use super::span::{Attribute, Span};
use crate::random::{Share, random};

/// Spans that may wait for the exporter. Each takes about half a kibibyte.
const QUEUE: usize = 8192;

/// Decides which requests are traced, and takes their spans.
#[derive(Debug)]
pub struct Tracer {
    share: Share,
    queue: mpsc::Sender<Span>,
    stop: StopExport,
    counts: SpanCounts,
}

/// Spans since the start, by what became of them. Clones share them, so that tracers may follow one another.
#[derive(Clone, Debug, Default)]
pub struct SpanCounts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl SpanCounts {
    /// Spans that were handed to the receiver.
    pub fn exported(&self) -> u64 {
        self.0.exported.load(Ordering::Relaxed)
    }

    /// Spans that were given up: the queue was full, or the receiver did not take them.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn add_exported(&self, spans: u64) {
        self.0.exported.fetch_add(spans, Ordering::Relaxed);
    }

    pub(super) fn add_dropped(&self, spans: u64) {
        self.0.dropped.fetch_add(spans, Ordering::Relaxed);
    }
}

/// Ends an exporter before its tracers are gone.
#[derive(Clone, Debug, Default)]
pub struct StopExport(Arc<Notify>);

impl StopExport {
    /// Has the exporter send what waits, and end. Later spans are dropped.
    pub fn stop(&self) {
        self.0.notify_one();
    }

    pub(super) async fn stopped(&self) {
        self.0.notified().await;
    }
}

impl Tracer {
    /// A tracer of this share of the requests that nobody else has decided about, and the exporter of their spans, which describes the process as
    /// `resource` does. What becomes of them is added to `counts`. The exporter ends once the last tracer of its spans is gone.
    pub fn new(share: f64, resource: Vec<Attribute>, counts: SpanCounts) -> (Arc<Self>, Exporter) {
        let (queue, spans) = mpsc::channel(QUEUE);
        let stop = StopExport::default();
        let exporter = Exporter::new(spans, stop.clone(), counts.clone(), resource);
        (Arc::new(Self { share: Share::new(share), queue, stop, counts }), exporter)
    }

    /// Another tracer with the same exporter, of this share of the requests.
    pub fn with_share(&self, share: f64) -> Arc<Self> {
        let Self { share: _, queue, stop, counts } = self;
        Arc::new(Self { share: Share::new(share), queue: queue.clone(), stop: stop.clone(), counts: counts.clone() })
    }

    /// What ends its exporter.
    pub fn stop(&self) -> &StopExport {
        &self.stop
    }

    /// What became of its spans, and of those of tracers that share the counts.
    pub fn counts(&self) -> &SpanCounts {
        &self.counts
    }

    /// Begins the trace of a request, if it has one: as its caller has decided, where the sender of its fields is `trusted`; otherwise by chance.
    /// `now` is asked for those that have one only.
    pub fn begin(
        self: &Arc<Self>,
        headers: &HeaderMap,
        trusted: bool,
        started: Instant,
        now: impl FnOnce() -> Timestamp,
    ) -> Option<Arc<RequestTrace>> {
        let parent = if trusted { TraceParent::of(headers) } else { None };
        if !parent.map_or_else(|| self.share.draw(), |parent| parent.sampled) {
            return None;
        }
        let trace = parent.map_or_else(|| TraceId(u128::from(random()) << 64 | u128::from(new_span())), |parent| parent.trace);
        let anchor = Anchor::new(started, now());
        Some(Arc::new(RequestTrace::new(Arc::clone(self), trace, parent.map(|parent| parent.span), anchor)))
    }

    /// Never waits: a span that finds the queue full is dropped and counted.
    pub(super) fn send(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.counts.add_dropped(1);
        }
    }
}

/// The name of a span; never 0, which is none.
pub(super) fn new_span() -> u64 {
    random() | 1
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use larder_tower::clock::monotonic;

    use super::*;

    fn begin(tracer: &Arc<Tracer>, field: Option<&'static str>, trusted: bool) -> Option<Arc<RequestTrace>> {
        let mut headers = HeaderMap::new();
        field.into_iter().for_each(|field| _ = headers.insert("traceparent", HeaderValue::from_static(field)));
        tracer.begin(&headers, trusted, monotonic(), Timestamp::default)
    }

    fn tracer(share: f64) -> (Arc<Tracer>, Exporter) {
        Tracer::new(share, Vec::new(), SpanCounts::default())
    }

    const ON: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const OFF: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    #[test]
    fn a_caller_that_is_believed_decides_and_chance_otherwise() {
        let ((none, _), (all, _)) = (tracer(0.0), tracer(1.0));
        let traced = begin(&none, Some(ON), true).expect("its caller traces it");
        assert_eq!(traced.id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(begin(&none, Some(ON), false).is_none(), "a client cannot have its requests traced");
        assert!(begin(&none, None, true).is_none());
        assert!(begin(&all, Some(OFF), true).is_none());
        let own = begin(&all, Some(ON), false).expect("by chance");
        assert_ne!(own.id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736", "nor name its trace");
        assert_ne!(begin(&all, None, true).expect("by chance").id(), own.id());
    }
}
