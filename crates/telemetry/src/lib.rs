//! What Larder tells about itself: [`metrics`] for Prometheus, one [`access_log`] line a request, and [`diagnostics`] on stderr.
//!
//! Metrics and log lines are projections of the outcome that the cache layer returns with each response; nothing here decides anything.

pub mod access_log;
pub mod diagnostics;
pub mod metrics;
mod one_line;
