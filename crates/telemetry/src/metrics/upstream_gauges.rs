//! What is read off an upstream at each scrape.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// One upstream in [`super::Gauges`].
#[derive(Clone, Debug, Default)]
pub struct UpstreamGauges {
    /// Its name.
    pub name: String,
    /// Requests whose response has not ended.
    pub requests_in_flight: u64,
    /// Open connections, idle ones included.
    pub connections: u64,
    /// Connections made since the start.
    pub connects: u64,
    /// Requests sent again because a reused connection had died, since the start.
    pub retries: u64,
    /// Requests that wait for a place.
    pub waiting: u64,
    /// Requests that got none, since the start.
    pub refused: u64,
    /// 1 while it is left alone, or asked by one request at a time.
    pub breaker_open: u64,
}

type Figure = fn(&UpstreamGauges) -> u64;

const GAUGES: [(&str, &str, Figure); 4] = [
    ("origin_requests_in_flight", "Requests sent to an upstream whose response has not ended.", |upstream| upstream.requests_in_flight),
    ("origin_connections", "Open connections to an upstream, idle ones included.", |upstream| upstream.connections),
    ("origin_waiting", "Requests that wait for a place at an upstream.", |upstream| upstream.waiting),
    ("origin_breaker_open", "1 while an upstream is left alone because it failed, or is tried by one request at a time.", |upstream| {
        upstream.breaker_open
    }),
];

const COUNTERS: [(&str, &str, Figure); 3] = [
    ("origin_connects", "Connections made to an upstream.", |upstream| upstream.connects),
    ("origin_retries", "Requests sent again because a reused connection had died.", |upstream| upstream.retries),
    ("origin_refused", "Requests that got no place at an upstream, because it had as many as it may have.", |upstream| upstream.refused),
];

/// Their families.
pub(super) fn encode_upstreams(upstreams: &[UpstreamGauges], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    for (name, help, figure) in GAUGES {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for upstream in upstreams {
            family.encode_family(&[("upstream", upstream.name.as_str())])?.encode_gauge(&figure(upstream))?;
        }
    }
    for (name, help, figure) in COUNTERS {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for upstream in upstreams {
            let labels = [("upstream", upstream.name.as_str())];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&figure(upstream), None)?;
        }
    }
    Ok(())
}
