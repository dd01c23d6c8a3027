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
    /// Where people see a trace, as the text before and after its ID; `None`: nowhere that is known here.
    pub link: Option<TraceLink>,
    /// Fields of the requests to the endpoint.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// `[telemetry.traces] link`: the URL of a page about one trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLink {
    /// What stands before the ID of the trace.
    pub before: String,
    /// What stands after it.
    pub after: String,
}

impl TraceLink {
    /// The URL of this trace's page. An ID is hexadecimal digits, so it stands in any part of a URL as it is.
    pub fn to(&self, trace_id: &str) -> String {
        format!("{}{trace_id}{}", self.before, self.after)
    }
}
