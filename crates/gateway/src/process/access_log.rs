//! The access log of the process: where it goes, and its end.

use std::io;
use std::time::Duration;

use tracing::warn;

use crate::config;
use crate::telemetry::access_log::{AccessLog, LogWriter, open_log};

/// How long the last lines may take to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The access log, to its file or to standard output.
pub(super) fn open_access_log(log: &config::Log) -> io::Result<(AccessLog, Option<LogWriter>)> {
    if log.access == config::AccessLog::Off {
        return Ok((AccessLog::off(), None));
    }
    let (access_log, writer) = match log.file.clone() {
        None => AccessLog::start(log, io::stdout())?,
        Some(path) => AccessLog::start_reopening(log, move || {
            let with_path = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            open_log(&path).map_err(with_path)
        })?,
    };
    Ok((access_log, Some(writer)))
}

/// Writes the lines that wait, for a moment.
pub(super) fn finish_access_log(writer: Option<LogWriter>) {
    if writer.is_some_and(|writer| !writer.stop(LAST_LINES)) {
        warn!("the last lines of the access log could not be written");
    }
}
