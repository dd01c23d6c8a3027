//! Traces on their way to a collector, over the same client that requests to origins take: its deadlines, its breaker, its TLS.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use larder_message::forward::HostPolicy;
use larder_tower::RequestBody;
use larder_tower::clock::Clock;
use tokio::task::JoinHandle;
use tower_service::Service as _;

use crate::config::{Traces, Upstream};
use crate::telemetry::traces::{SendBatch, SendError, Tracer};
use crate::upstream::{UpstreamOptions, UpstreamService, UpstreamSetupError};

/// How long a collector may take for a batch.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long the last spans may take when the process stops.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Where OTLP over HTTP takes spans.
const PATH: &str = "/v1/traces";

/// The task that sends spans.
#[derive(Debug)]
pub(crate) struct Exporting {
    tracer: Arc<Tracer>,
    task: JoinHandle<()>,
}

/// Starts to trace as the configuration says. The collector need not be there.
pub(crate) fn start(traces: &Traces, clock: &Clock) -> Result<Exporting, UpstreamSetupError> {
    let section = Upstream::new("telemetry.traces", traces.endpoint.clone());
    let section = Upstream { host: HostPolicy::Upstream, first_byte_timeout: TIMEOUT, ..section };
    let service = UpstreamService::new(UpstreamOptions::new(section, clock.clone()))?;
    let resource = vec![("service.name", traces.service.clone().into()), ("service.version", env!("CARGO_PKG_VERSION").into())];
    let (tracer, exporter) = Tracer::new(traces.sample, resource);
    let collector = Collector { service, fields: traces.headers.iter().cloned().collect() };
    let task = tokio::spawn(exporter.run(collector));
    Ok(Exporting { tracer, task })
}

impl Exporting {
    /// What decides which requests are traced.
    pub(crate) fn tracer(&self) -> Arc<Tracer> {
        Arc::clone(&self.tracer)
    }

    /// Sends what waits, for a moment.
    pub(crate) async fn finish(self) {
        self.tracer.stop();
        // What is late is lost: the process ends.
        let _ = tokio::time::timeout(LAST_SPANS, self.task).await;
    }
}

struct Collector {
    service: UpstreamService,
    fields: HeaderMap,
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
            status if status.is_success() => Ok(()),
            // The standard's list of what is worth another try.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Err(SendError::Later)
            }
            status => {
                tracing::warn!("the collector of traces answered with {status}: these spans are dropped");
                Err(SendError::Never)
            }
        }
    }
}
