//! Traces on their way to a collector, over the same client that requests to origins take: its deadlines, its breaker, its TLS.
//!
//! A changed `sample` keeps the exporter. After any other change of `[telemetry.traces]` a new one starts, and the one before ends once the requests
//! that it traces have ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use larder_message::forward::HostPolicy;
use larder_tower::RequestBody;
use larder_tower::clock::{Clock, monotonic};
use tokio::task::JoinHandle;
use tower_service::Service as _;

use crate::config::{Traces, Upstream};
use crate::telemetry::traces::{SendBatch, SendError, SpanCounts, StopExport, Tracer};
use crate::upstream::{UpstreamOptions, UpstreamService, UpstreamSetupError};

/// How long a collector may take for a batch.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long the last spans may take when the process stops.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Where OTLP over HTTP takes spans.
const PATH: &str = "/v1/traces";

/// The exporters of the process.
#[derive(Debug, Default)]
pub(crate) struct Exporters {
    running: Mutex<Vec<Exporting>>,
    counts: SpanCounts,
}

/// A task that sends spans.
#[derive(Debug)]
struct Exporting {
    stop: StopExport,
    task: JoinHandle<()>,
}

impl Exporters {
    /// What traces requests as `traces` says, which goes on from what did `before`. The collector need not be there.
    ///
    /// # Errors
    /// If the client to the collector cannot be set up.
    pub(crate) fn tracer(
        &self,
        traces: Option<&Traces>,
        before: Option<(&Traces, &Arc<Tracer>)>,
        clock: &Clock,
    ) -> Result<Option<Arc<Tracer>>, UpstreamSetupError> {
        let Some(traces) = traces else { return Ok(None) };
        if let Some((then, tracer)) = before.filter(|(then, _)| Traces { sample: traces.sample, ..(*then).clone() } == *traces) {
            let same_share = then.sample == traces.sample;
            return Ok(Some(if same_share { Arc::clone(tracer) } else { tracer.with_share(traces.sample) }));
        }
        let section = Upstream::new("telemetry.traces", traces.endpoint.clone());
        let section = Upstream { host: HostPolicy::Upstream, first_byte_timeout: TIMEOUT, ..section };
        let service = UpstreamService::new(UpstreamOptions::new(section, clock.clone()))?;
        let resource = vec![("service.name", traces.service.clone().into()), ("service.version", env!("CARGO_PKG_VERSION").into())];
        let (tracer, exporter) = Tracer::new(traces.sample, resource, self.counts.clone());
        let collector = Collector { service, fields: traces.headers.iter().cloned().collect(), refusals: Refusals::default() };
        let exporting = Exporting { stop: tracer.stop().clone(), task: tokio::spawn(exporter.run(collector)) };
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|exporting| !exporting.task.is_finished());
        running.push(exporting);
        Ok(Some(tracer))
    }

    /// Sends what waits, for a moment.
    pub(crate) async fn finish(&self) {
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        running.iter().for_each(|exporting| exporting.stop.stop());
        let ends = async {
            for exporting in running {
                // One that has panicked has nothing to send.
                let _ = exporting.task.await;
            }
        };
        // What is late is lost: the process ends.
        let _ = tokio::time::timeout(LAST_SPANS, ends).await;
    }
}

struct Collector {
    service: UpstreamService,
    fields: HeaderMap,
    refusals: Refusals,
}

/// Until what refuses has a line in the log again: a wrong token fails each of many batches a second.
const QUIET: Duration = Duration::from_secs(60);

/// What the collector has refused spans with.
#[derive(Debug, Default)]
struct Refusals(Option<(StatusCode, Instant)>);

impl Refusals {
    /// Whether one is to be told: the first with a status, and one a minute.
    fn are_told(&mut self, status: StatusCode, now: Instant) -> bool {
        let is_known = |(told, at): (StatusCode, Instant)| told == status && now.saturating_duration_since(at) < QUIET;
        let is_new = !self.0.is_some_and(is_known);
        if is_new {
            self.0 = Some((status, now));
        }
        is_new
    }

    /// Spans are taken. Returns whether they were refused before.
    fn end(&mut self) -> bool {
        self.0.take().is_some()
    }
}

impl SendBatch for Collector {
    async fn send(&mut self, batch: Bytes) -> Result<(), SendError> {
        let length = batch.len();
        let mut request = Request::post(PATH).body(RequestBody::new(Full::new(batch))).map_err(|_| SendError::Never)?;
        request.headers_mut().extend(self.fields.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(CONTENT_LENGTH, length.into());
        let response = self.service.call(request).await.map_err(|_| SendError::Later)?;
        let status = response.status();
        // Read to its end, so that the connection is used again; a few bytes, if any.
        let _ = tokio::time::timeout(TIMEOUT, response.into_body().collect()).await;
        match status {
            status if status.is_success() => {
                if self.refusals.end() {
                    tracing::info!("the collector of traces takes spans again");
                }
                Ok(())
            }
            // The standard's list of what is worth another try.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Err(SendError::Later)
            }
            status => {
                if self.refusals.are_told(status, monotonic()) {
                    tracing::warn!("the collector of traces answered with {status}: spans are dropped");
                }
                Err(SendError::Never)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_that_refuses_is_told_once_a_minute_and_for_each_status_and_so_is_the_end() {
        let (mut refusals, start) = (Refusals::default(), monotonic());
        let mut are_told = |status, seconds| refusals.are_told(status, start + Duration::from_secs(seconds));
        assert_eq!([0, 1, 59, 60, 61].map(|seconds| are_told(StatusCode::UNAUTHORIZED, seconds)), [true, false, false, true, false]);
        assert!(are_told(StatusCode::NOT_FOUND, 62));
        assert_eq!([refusals.end(), refusals.end()], [true, false]);
        assert!(refusals.are_told(StatusCode::NOT_FOUND, start + Duration::from_secs(63)));
    }
}
