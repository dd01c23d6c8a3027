//! The trace of a request under way, and what its log line and its trace are to know of its exchange with the origin.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Extensions, HeaderMap, Method, Request, StatusCode};
use larder_semantics::{Reason, Timestamp};
use larder_tower::clock::monotonic;
use larder_tower::{CacheResult, ObservedSteps};

use crate::telemetry::access_log::{ResponseRecord, redacted};
use crate::telemetry::metrics::method_word;
use crate::telemetry::traces::{Attribute, RequestSpan, RequestTrace, TraceId, Tracer};
use crate::upstream::{ExchangeObserver, ExchangeReport};

/// Bytes of a path, and of a method that is made up: thousands of spans wait where the collector is away.
const MAX_PATH: usize = 1024;
const MAX_METHOD: usize = 64;

/// What becomes of a request's trace.
#[derive(Debug, Default)]
pub(super) enum Tracing {
    /// Its fields go on as they came: there are no traces here, or its trusted caller has decided that it has none.
    #[default]
    AsCame,
    /// It has none, and its sender is not believed: what it says of traces does not go on.
    Unbelieved,
    /// It has one.
    Traced(Box<RequestSpan>),
}

impl Tracing {
    /// Of a request that began then. Whether its sender is `trusted` is asked only where there are traces.
    pub(super) fn begin<B>(
        tracer: Option<&Arc<Tracer>>,
        request: &Request<B>,
        trusted: impl FnOnce() -> bool,
        scheme: &'static str,
        (started, now): (Instant, impl FnOnce() -> Timestamp),
    ) -> Self {
        let Some(tracer) = tracer else { return Self::AsCame };
        let trusted = trusted();
        match tracer.begin(request.headers(), trusted, started, now) {
            Some(trace) => {
                let method = method_word(request.method());
                let mut attributes = vec![
                    ("http.request.method", method.unwrap_or("_OTHER").into()),
                    ("url.scheme", scheme.into()),
                    // Without the query, and without what is masked in the log.
                    ("url.path", redacted(clipped(request.uri().path(), MAX_PATH)).into_owned().into()),
                ];
                if method.is_none() {
                    attributes.push(("http.request.method_original", clipped(request.method().as_str(), MAX_METHOD).to_owned().into()));
                }
                Self::Traced(Box::new(RequestSpan::new(trace, started, name_of(request.method()).to_owned(), attributes)))
            }
            None if trusted => Self::AsCame,
            None => Self::Unbelieved,
        }
    }

    /// The trace, if there is one.
    pub(super) fn trace(&self) -> Option<&Arc<RequestTrace>> {
        match self {
            Self::Traced(span) => Some(span.trace()),
            Self::AsCame | Self::Unbelieved => None,
        }
    }

    /// Its name, for the log.
    pub(super) fn id(&self) -> Option<TraceId> {
        self.trace().map(|trace| trace.id())
    }

    /// The time, where the step that begins now is traced.
    pub(super) fn now(&self) -> Option<Instant> {
        self.trace().map(|_| monotonic())
    }

    /// The look-up that began then is over.
    pub(super) fn looked_up(&self, started: Option<Instant>) {
        if let (Some(trace), Some(started)) = (self.trace(), started) {
            trace.step("lookup", started, Vec::new(), None);
        }
    }

    /// Has the steps of the request observed that its way through the cache takes.
    pub(super) fn extend(&self, extensions: &mut Extensions) {
        if let Some(trace) = self.trace() {
            extensions.insert(ObservedSteps(Arc::clone(trace) as _));
        }
    }

    /// The span, which ends with the answer's body.
    pub(super) fn answered(self, method: &Method, status: StatusCode, record: &ResponseRecord<'_>) -> Option<Box<RequestSpan>> {
        let Self::Traced(mut span) = self else { return None };
        let text = |name, value: Option<&str>| value.map(|value| -> Attribute { (name, value.to_owned().into()) });
        span.add([("http.response.status_code", i64::from(status.as_u16()).into())]);
        span.add(text("http.route", record.route.map(|route| &**route)));
        span.add(text("larder.result", record.result.map(CacheResult::logged)));
        span.add(text("larder.reason", record.reason.map(Reason::as_str)));
        span.add(text("larder.upstream", record.upstream.map(|upstream| &**upstream)));
        span.add([("larder.collapsed", record.collapsed.into())]);
        if let Some(route) = record.route {
            span.rename(format!("{} {route}", name_of(method)));
        }
        if status.is_server_error() {
            span.fail(record.problem.map_or("the origin answered with a server error", |problem| problem.detail()));
        }
        Some(span)
    }
}

/// How a span's name begins: collectors make metrics by it, so it has few values (OpenTelemetry, "HTTP spans", Name).
fn name_of(method: &Method) -> &'static str {
    method_word(method).unwrap_or("HTTP")
}

fn clipped(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// What becomes known as the exchange goes on, which may take several attempts.
#[derive(Debug, Default)]
struct Known {
    server: Option<Arc<str>>,
    /// Whether that one has answered, and not only failed.
    has_answered: bool,
    /// The span of the attempt that is under way.
    span: u64,
    /// What connections took that were made for it.
    connect: Option<Duration>,
    /// What all attempts took together, without what the request waited for before and between them.
    took: Duration,
    attempts: u32,
}

impl Known {
    fn add(&mut self, report: &ExchangeReport<'_>) {
        // Where a later attempt fails, the client gets the answer of the one before.
        if report.outcome.is_ok() || report.resends == 0 || !self.has_answered {
            (self.server, self.has_answered) = (Some(Arc::clone(report.server)), report.outcome.is_ok());
        }
        self.attempts += 1;
        self.took += report.times.1.saturating_duration_since(report.times.0);
        let took = report.connect.map(|(began, ended)| ended.saturating_duration_since(began));
        self.connect = took.map(|took| took + self.connect.unwrap_or_default()).or(self.connect);
    }
}

/// What is known of the exchange of a request with the origin.
#[derive(Debug)]
pub(super) struct Exchange {
    known: Mutex<Known>,
    trace: Option<Arc<RequestTrace>>,
    is_believed: bool,
}

impl Exchange {
    /// Of a request whose trace this is.
    pub(super) fn of(tracing: &Tracing) -> Arc<Self> {
        let is_believed = !matches!(tracing, Tracing::Unbelieved);
        Arc::new(Self { known: Mutex::default(), trace: tracing.trace().cloned(), is_believed })
    }

    /// The server that answered, or failed last; what connections took that were made for the request; and how often it was sent, if it was.
    pub(super) fn facts(&self) -> (Option<Arc<str>>, Option<Duration>, Option<u32>) {
        let known = self.known();
        (known.server.clone(), known.connect, Some(known.attempts).filter(|attempts| *attempts > 0))
    }

    /// What all attempts took together, if there was one.
    pub(super) fn took(&self) -> Option<Duration> {
        let known = self.known();
        (known.attempts > 0).then_some(known.took)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ExchangeObserver for Exchange {
    fn begins(&self, fields: &mut HeaderMap) {
        match &self.trace {
            Some(trace) => self.known().span = trace.hand_on(fields),
            None if self.is_believed => {}
            None => ["traceparent", "tracestate"].iter().for_each(|name| _ = fields.remove(*name)),
        }
    }

    fn ended(&self, report: &ExchangeReport<'_>) {
        let span = {
            let mut known = self.known();
            known.add(report);
            known.span
        };
        let Some(trace) = &self.trace else { return };
        let mut attributes: Vec<Attribute> = vec![("server.address", report.server.to_string().into())];
        if report.resends > 0 {
            attributes.push(("http.request.resend_count", i64::from(report.resends).into()));
        }
        let error = match report.outcome {
            Ok(status) => {
                attributes.push(("http.response.status_code", i64::from(status.as_u16()).into()));
                status.is_server_error().then_some("the origin answered with a server error")
            }
            Err(word) => {
                attributes.push(("error.type", word.into()));
                Some(word)
            }
        };
        trace.exchanged(span, report.times, report.connect, attributes, error);
    }
}

#[cfg(test)]
mod tests {
    use larder_tower::clock::Clock;

    use super::*;
    use crate::telemetry::traces::Value;

    fn begun(method: &str, path: &str) -> Tracing {
        let (tracer, _exporter) = Tracer::new(1.0, Vec::new(), Default::default());
        let request = Request::builder().method(method).uri(path).body(()).expect("a request");
        Tracing::begin(Some(&tracer), &request, || false, "http", (monotonic(), || Clock::system().now()))
    }

    fn attribute(tracing: &Tracing, name: &str) -> Option<String> {
        let Tracing::Traced(span) = tracing else { panic!("it is traced") };
        span.attributes().iter().find(|(own, _)| *own == name).map(|(_, value)| match value {
            Value::Text(text) => text.to_string(),
            other => panic!("no text: {other:?}"),
        })
    }

    #[test]
    fn a_method_that_is_made_up_makes_no_new_name_of_a_span() {
        for (method, name, said, original) in [("GET", "GET", "GET", None), ("A1", "HTTP", "_OTHER", Some("A1"))] {
            let tracing = begun(method, "/a");
            assert_eq!(attribute(&tracing, "http.request.method").as_deref(), Some(said));
            assert_eq!(attribute(&tracing, "http.request.method_original").as_deref(), original);
            assert_eq!(name_of(&Method::from_bytes(method.as_bytes()).expect("a method")), name);
        }
    }

    #[test]
    fn secrets_in_a_path_are_masked_and_long_ones_are_cut() {
        let path = |path: &str| attribute(&begun("GET", path), "url.path").unwrap_or_default();
        let masked = path("/a;jsessionid=hush/b?access_token=hush");
        assert!(masked.starts_with("/a;jsessionid=") && !masked.contains("hush"), "{masked}");
        assert_eq!(path(&format!("/{}", "x".repeat(5000))).len(), MAX_PATH);
    }

    #[test]
    fn what_attempts_took_is_summed_without_the_time_between_them() {
        let (exchange, server, start) = (Exchange::of(&Tracing::AsCame), Arc::from("http://a"), monotonic());
        assert_eq!(exchange.took(), None);
        for (resends, began, ended) in [(0, 5000, 5001), (1, 9000, 9002)] {
            let at = |millis| start + Duration::from_millis(millis);
            let times = (at(began), at(ended));
            exchange.ended(&ExchangeReport { server: &server, resends, times, connect: None, outcome: Err("connection_refused") });
        }
        assert_eq!(exchange.took(), Some(Duration::from_millis(3)));
    }
}
