//! Counters of one upstream.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_message::OriginOutcome;

use super::Named;
use super::histogram::{self, Histogram};
use super::labels::{CLASSES, class_index};
use super::sharded::Sharded;
use crate::snapshot::{LabelledCount, UpstreamSnapshot, UpstreamState};

/// Failures with a label of their own: the Proxy-Status error types (RFC 9209 §2.3). Any other word is `other`.
const FAILURES: [&str; 30] = [
    "dns_timeout",
    "dns_error",
    "destination_not_found",
    "destination_unavailable",
    "destination_ip_prohibited",
    "destination_ip_unroutable",
    "connection_refused",
    "connection_terminated",
    "connection_timeout",
    "connection_read_timeout",
    "connection_write_timeout",
    "connection_limit_reached",
    "tls_protocol_error",
    "tls_certificate_error",
    "tls_alert_received",
    "http_request_error",
    "http_request_denied",
    "http_response_incomplete",
    "http_response_header_section_size",
    "http_response_header_size",
    "http_response_body_size",
    "http_response_trailer_section_size",
    "http_response_trailer_size",
    "http_response_transfer_coding",
    "http_response_content_coding",
    "http_response_timeout",
    "http_upgrade_failed",
    "http_protocol_error",
    "proxy_internal_error",
    "proxy_loop_detected",
];
const OUTCOMES: usize = CLASSES.len() + FAILURES.len();

/// Where an outcome is counted: classes of statuses first, then failures. A failure is rare enough to be looked for by its word.
fn index(outcome: OriginOutcome) -> usize {
    match outcome {
        OriginOutcome::Answered(status) => class_index(status),
        OriginOutcome::Failed(word) => FAILURES.iter().position(|known| *known == word).map_or(0, |index| CLASSES.len() + index),
    }
}

/// The label value of [`index`].
fn word(index: usize) -> &'static str {
    CLASSES.iter().chain(&FAILURES).nth(index).copied().unwrap_or("other")
}

/// The cells of one upstream.
#[derive(Debug)]
pub(super) struct UpstreamMetrics {
    name: Box<str>,
    cells: Sharded<Cells>,
}

#[derive(Debug)]
struct Cells {
    outcomes: [AtomicU64; OUTCOMES],
    latency: Histogram,
}

impl Default for Cells {
    fn default() -> Self {
        Self { outcomes: std::array::from_fn(|_| AtomicU64::new(0)), latency: Histogram::default() }
    }
}

impl Named for UpstreamMetrics {
    fn named(name: &str) -> Self {
        Self { name: name.into(), cells: Sharded::new() }
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl UpstreamMetrics {
    pub(super) fn record(&self, outcome: OriginOutcome, elapsed: Duration) {
        let cells = self.cells.of_this_thread();
        cells.outcomes[index(outcome)].fetch_add(1, Ordering::Relaxed);
        cells.latency.observe(elapsed);
    }

    /// The sums over all threads, and how the upstream stands where it is configured.
    pub(super) fn snapshot(&self, state: Option<UpstreamState>) -> UpstreamSnapshot {
        let outcomes = (0..OUTCOMES).filter_map(|index| {
            let count = self.cells.iter().map(|cells| cells.outcomes[index].load(Ordering::Relaxed)).sum();
            (count > 0).then(|| LabelledCount { label: word(index), count })
        });
        let latency = histogram::sum(self.cells.iter().map(|cells| &cells.latency));
        UpstreamSnapshot { name: self.name.to_string(), outcomes: outcomes.collect(), latency, state }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn every_outcome_has_its_word() {
        let upstream = UpstreamMetrics::named("api");
        for outcome in [
            OriginOutcome::Answered(StatusCode::NOT_FOUND),
            OriginOutcome::Failed("dns_timeout"),
            OriginOutcome::Failed("proxy_loop_detected"),
            OriginOutcome::Failed("made up"),
        ] {
            upstream.record(outcome, Duration::from_millis(1));
        }
        let snapshot = upstream.snapshot(None);
        let words = ["other", "4xx", "dns_timeout", "proxy_loop_detected"];
        assert_eq!(snapshot.outcomes, words.map(|label| LabelledCount { label, count: 1 }));
        assert_eq!(snapshot.latency.count, 4);
    }
}
