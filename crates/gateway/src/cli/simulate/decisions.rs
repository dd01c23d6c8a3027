//! What was decided about each request, as lines of JSON.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use larder_simulate::{Decision, LogRecord, Verdict};
use serde_json::json;

use crate::simulate::SimulateError;

/// The file that they are written into.
pub(super) struct Decisions {
    path: PathBuf,
    file: BufWriter<File>,
    /// The first failure to write.
    failed: Option<std::io::Error>,
}

impl Decisions {
    pub(super) fn create(path: &Path) -> Result<Self, SimulateError> {
        let file = File::create(path).map_err(|error| SimulateError::Decisions(path.to_owned(), error))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), failed: None })
    }

    /// Writes a line, with the names and words of the access log.
    pub(super) fn write(&mut self, record: &LogRecord, decision: &Decision, route: Option<&str>) {
        // The log has neither word for what is refused.
        let (result, reason) = match decision.verdict {
            Verdict::Refused => (None, None),
            verdict => (Some(verdict.word()), Some(decision.reason.as_str())),
        };
        let line = json!({
            "time_ms": record.time.as_millis(),
            "method": record.method.as_str(),
            "host": record.host,
            "target": record.target.to_string(),
            "route": route,
            "result": result,
            "reason": reason,
            "stored": decision.stored,
        });
        if let Err(error) = writeln!(self.file, "{line}") {
            self.failed.get_or_insert(error);
        }
    }

    pub(super) fn finish(mut self) -> Result<(), SimulateError> {
        let flushed = self.file.flush();
        self.failed.map_or(flushed, Err).map_err(|error| SimulateError::Decisions(self.path, error))
    }
}
