//! A configuration's mistakes and warnings, told as a process that serves tells its events.

use tracing::Level;

use crate::config::{LogLevel, Report, Severity};
use crate::telemetry::diagnostics::{Form, form};

/// The level of events that the configuration names.
pub(super) fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}

/// To people as `larder check` does, with the place in the file; to programs as an event for each.
pub(crate) fn tell(report: &Report) {
    if form() == Form::Human {
        return report.print();
    }
    for (severity, line) in report.graded() {
        match severity {
            Severity::Error => tracing::error!("{line}"),
            Severity::Warning => tracing::warn!("{line}"),
        }
    }
}
