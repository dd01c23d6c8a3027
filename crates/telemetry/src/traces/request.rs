//! The trace of one request.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http::{HeaderMap, HeaderName};
use larder_semantics::Timestamp;
use larder_tower::clock::monotonic;
use larder_tower::{SpanLink, Step, StepObserver};

use super::context::{TRACEPARENT, TraceId, TraceParent};
use super::span::{Attribute, Link, Span, SpanKind};
use super::tracer::{Tracer, new_span};

/// `tracestate`: what other systems add to `traceparent`.
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A moment by both clocks, so that times of one trace go with each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    at: Instant,
    /// Nanoseconds since 1970.
    time: u64,
}

impl Anchor {
    pub(super) fn new(at: Instant, time: Timestamp) -> Self {
        Self { at, time: time.as_millis().saturating_mul(1_000_000) }
    }

    fn nanos(self, at: Instant) -> u64 {
        self.time.saturating_add(u64::try_from(at.saturating_duration_since(self.at).as_nanos()).unwrap_or(u64::MAX))
    }
}

/// The trace of one request: its steps become children of its span.
#[derive(Debug)]
pub struct RequestTrace {
    tracer: Arc<Tracer>,
    trace: TraceId,
    /// The caller's span.
    parent: Option<u64>,
    /// That of the request.
    span: u64,
    /// That of its first exchange with an origin, which is named beforehand: requests that wait for it are linked to that.
    exchange: u64,
    /// Whether the first exchange has begun.
    has_exchange: AtomicBool,
    anchor: Anchor,
}

impl RequestTrace {
    pub(super) fn new(tracer: Arc<Tracer>, trace: TraceId, parent: Option<u64>, anchor: Anchor) -> Self {
        Self { tracer, trace, parent, span: new_span(), exchange: new_span(), has_exchange: AtomicBool::new(false), anchor }
    }

    /// The trace's name.
    pub fn id(&self) -> TraceId {
        self.trace
    }

    /// Tells the origin of it, with the span of the exchange that begins, which is returned. What other systems add stays only where it came with the
    /// trace that goes on here.
    pub fn hand_on(&self, headers: &mut HeaderMap) -> u64 {
        if self.parent.is_none() {
            headers.remove(TRACESTATE);
        }
        let span = if self.has_exchange.swap(true, Ordering::Relaxed) { new_span() } else { self.exchange };
        headers.insert(TRACEPARENT, TraceParent { trace: self.trace, span, sampled: true }.to_value());
        span
    }

    /// A step that ends now.
    pub fn step(&self, name: &'static str, started: Instant, attributes: Vec<Attribute>, link: Option<Link>) {
        self.send(new_span(), Some(self.span), name.into(), SpanKind::Internal, (started, monotonic()), attributes, link, None);
    }

    /// An exchange with an origin, whose span [`Self::hand_on`] has named, with the time that its connection took, if that was new. Each attempt is one.
    pub fn exchanged(
        &self,
        span: u64,
        (started, ended): (Instant, Instant),
        connect: Option<(Instant, Instant)>,
        attributes: Vec<Attribute>,
        error: Option<&'static str>,
    ) {
        let sent = connect.map_or(started, |(_, connected)| connected);
        let inner = |name: &'static str, times| {
            self.send(new_span(), Some(span), name.into(), SpanKind::Internal, times, Vec::new(), None, None);
        };
        connect.into_iter().for_each(|times| inner("connect", times));
        inner("first byte", (sent, ended));
        self.send(span, Some(self.span), "origin".into(), SpanKind::Client, (started, ended), attributes, None, error);
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of a span")]
    fn send(
        &self,
        id: u64,
        parent: Option<u64>,
        name: Cow<'static, str>,
        kind: SpanKind,
        (started, ended): (Instant, Instant),
        attributes: Vec<Attribute>,
        link: Option<Link>,
        error: Option<&'static str>,
    ) {
        let (start, end) = (self.anchor.nanos(started), self.anchor.nanos(ended));
        let links = link.into_iter().collect();
        let span = Span { trace: self.trace, id, parent, name, kind, start, end, attributes, links, error };
        self.tracer.send(span);
    }
}

impl StepObserver for RequestTrace {
    fn ended(&self, step: Step, started: Instant) {
        match step {
            Step::Wait { leader, ended } => {
                let link = leader.map(|leader| Link { trace: TraceId(leader.trace), span: leader.span });
                self.step("wait", started, vec![("larder.wait.ended", ended.into())], link);
            }
            Step::Tier { name, answered } => {
                self.step("tier", started, vec![("larder.tier", name.into()), ("larder.tier.answered", answered.into())], None);
            }
            Step::Store { bytes, stored } => {
                let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
                self.step("store", started, vec![("http.response.body.size", bytes.into()), ("larder.stored", stored.into())], None);
            }
            Step::Purge => self.step("purge", started, Vec::new(), None),
            // Steps that are not known here have no name.
            _ => {}
        }
    }

    fn fetch(&self) -> SpanLink {
        SpanLink { trace: self.trace.0, span: self.exchange }
    }
}

/// The span of a request, which ends when this is dropped: with its body, or when its client leaves.
#[derive(Debug)]
pub struct RequestSpan {
    trace: Arc<RequestTrace>,
    started: Instant,
    name: String,
    attributes: Vec<Attribute>,
    error: Option<&'static str>,
}

impl RequestSpan {
    /// Of a request that began then.
    pub fn new(trace: Arc<RequestTrace>, started: Instant, name: String, attributes: Vec<Attribute>) -> Self {
        Self { trace, started, name, attributes, error: None }
    }

    /// With more of what is known.
    pub fn add(&mut self, attributes: impl IntoIterator<Item = Attribute>) {
        self.attributes.extend(attributes);
    }

    /// What is known of it so far.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// The name, once the route is known.
    pub fn rename(&mut self, name: String) {
        self.name = name;
    }

    /// It failed.
    pub fn fail(&mut self, error: &'static str) {
        self.error = Some(error);
    }

    /// The trace.
    pub fn trace(&self) -> &Arc<RequestTrace> {
        &self.trace
    }
}

impl Drop for RequestSpan {
    fn drop(&mut self) {
        let (name, attributes) = (std::mem::take(&mut self.name), std::mem::take(&mut self.attributes));
        let times = (self.started, monotonic());
        let trace = &self.trace;
        trace.send(trace.span, trace.parent, name.into(), SpanKind::Server, times, attributes, None, self.error);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::SpanCounts;
    use super::*;

    fn trace(headers: &HeaderMap) -> (Arc<RequestTrace>, super::super::Exporter) {
        let (tracer, exporter) = Tracer::new(1.0, Vec::new(), SpanCounts::default());
        let trace = tracer.begin(headers, true, monotonic(), || Timestamp::from_millis(1_000)).expect("all are traced");
        (trace, exporter)
    }

    #[test]
    fn the_steps_of_a_request_are_children_of_its_span_and_the_origin_is_told_of_the_exchange() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("a value"));
        headers.insert("tracestate", "a=b".parse().expect("a value"));
        let (trace, mut exporter) = trace(&headers);
        let first = trace.hand_on(&mut headers);
        let told = TraceParent::of(&headers).expect("the origin is told");
        assert_eq!((told.trace, told.span, told.sampled), (trace.id(), trace.exchange, true));
        assert_eq!(headers["tracestate"], "a=b", "what others add goes on with its trace");

        let started = trace.anchor.at;
        let span = RequestSpan::new(Arc::clone(&trace), started, "GET a".to_owned(), Vec::new());
        let at = |millis| started + Duration::from_millis(millis);
        trace.exchanged(first, (at(1), at(9)), Some((at(2), at(5))), Vec::new(), Some("connection_refused"));
        StepObserver::ended(&*trace, Step::Tier { name: "redis", answered: false }, started);
        let leader = Some(SpanLink { trace: 1, span: 2 });
        StepObserver::ended(&*trace, Step::Wait { leader, ended: true }, started);
        drop(span);

        let spans: Vec<Span> = std::iter::from_fn(|| exporter.next_now()).collect();
        let names: Vec<_> = spans.iter().map(|span| (span.name.as_ref(), span.parent)).collect();
        let (own, exchange) = (Some(trace.span), Some(trace.exchange));
        let expected =
            [("connect", exchange), ("first byte", exchange), ("origin", own), ("tier", own), ("wait", own), ("GET a", told_parent())];
        assert_eq!(names, expected);
        assert_eq!((spans[0].start, spans[0].end), (1_002_000_000, 1_005_000_000));
        assert_eq!((spans[1].start, spans[1].end), (1_005_000_000, 1_009_000_000));
        assert_eq!((spans[2].id, spans[2].error), (trace.exchange, Some("connection_refused")));
        assert_eq!(spans[4].links, [Link { trace: TraceId(1), span: 2 }]);
        assert!(spans.iter().all(|span| span.trace == trace.id()));
    }

    fn told_parent() -> Option<u64> {
        Some(0x00f0_67aa_0ba9_02b7)
    }

    #[test]
    fn what_others_add_to_another_trace_does_not_go_on_with_this_one() {
        let mut headers = HeaderMap::new();
        headers.insert("tracestate", "a=b".parse().expect("a value"));
        let (trace, _exporter) = trace(&headers);
        trace.hand_on(&mut headers);
        assert!(headers.contains_key("traceparent") && !headers.contains_key("tracestate"));
    }

    #[test]
    fn each_attempt_has_a_span_of_its_own_and_the_origin_is_told_of_that() {
        let mut headers = HeaderMap::new();
        let (trace, mut exporter) = trace(&headers);
        let spans = [0, 1].map(|_| {
            let span = trace.hand_on(&mut headers);
            assert_eq!(TraceParent::of(&headers).map(|told| told.span), Some(span));
            trace.exchanged(span, (trace.anchor.at, trace.anchor.at), None, Vec::new(), None);
            span
        });
        assert_eq!(spans[0], trace.fetch().span, "requests that wait are linked to the first one");
        let sent = std::iter::from_fn(|| exporter.next_now()).filter(|span| span.name == "origin");
        assert_eq!(sent.map(|span| (span.id, span.parent)).collect::<Vec<_>>(), spans.map(|id| (id, Some(trace.span))));
        assert_ne!(spans[0], spans[1]);
    }
}
