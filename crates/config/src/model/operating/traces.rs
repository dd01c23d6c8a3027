//! `[telemetry.traces]`.

use http::{HeaderName, HeaderValue};

use crate::model::UpstreamUrl;

/// `[telemetry.traces]`
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// Where spans go, by OTLP over HTTP; `/v1/traces` is put behind its path.
    pub endpoint: UpstreamUrl,
    /// The share of requests that are traced, of those that no trusted caller has decided about.
    pub sample: f64,
    /// `service.name`.
    pub service: String,
    /// Fields of the requests to the endpoint.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}
