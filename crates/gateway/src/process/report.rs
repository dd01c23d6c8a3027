//! A configuration's mistakes and warnings, told as a process that serves tells its events.

use crate::config::{Report, Severity};
use crate::telemetry::diagnostics::{Form, form};

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
