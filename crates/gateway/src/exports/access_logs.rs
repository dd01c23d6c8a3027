//! The access logs of a process, one after the other as `[log]` changes.
//!
//! A log that goes to the same place keeps its writer, and only its lines get another form. Otherwise the one before goes on until the requests that
//! began with it have ended, so no line is lost.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::warn;

use crate::config::{self, Log};
use crate::telemetry::access_log::{AccessLog, LogWriter, open_log};

/// How long the last lines may take to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The writers of all logs of the process.
#[derive(Debug, Default)]
pub(crate) struct AccessLogs(Mutex<Writers>);

#[derive(Debug, Default)]
struct Writers {
    running: Vec<LogWriter>,
    /// Lines that writers dropped which have ended.
    dropped: u64,
}

impl AccessLogs {
    /// The log that `log` describes, which goes on from the one `before`.
    ///
    /// # Errors
    /// If its file cannot be opened, or its writer cannot be started.
    pub(crate) fn open(&self, log: &Log, before: Option<(&Log, &AccessLog)>) -> io::Result<AccessLog> {
        if log.access == config::AccessLog::Off {
            return Ok(AccessLog::off());
        }
        match before {
            Some((then, access_log)) if then == log => return Ok(access_log.clone()),
            Some((then, access_log)) if then.file == log.file => {
                if let Some(reshaped) = access_log.reshaped(log) {
                    return Ok(reshaped);
                }
            }
            _ => {}
        }
        let (access_log, writer) = match log.file.clone() {
            None => AccessLog::start(log, io::stdout())?,
            Some(path) => AccessLog::start_reopening(log, move || {
                let with_path = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
                open_log(&path).map_err(with_path)
            })?,
        };
        let mut writers = self.lock();
        writers.forget_ended();
        writers.running.push(writer);
        Ok(access_log)
    }

    /// Opens all files again: they may have been renamed.
    pub(crate) fn reopen(&self) {
        self.lock().running.iter().for_each(LogWriter::reopen);
    }

    /// Lines that were dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        let writers = self.lock();
        writers.dropped + writers.running.iter().map(LogWriter::dropped).sum::<u64>()
    }

    /// Writes the lines that wait, for a moment. Later ones are dropped.
    pub(crate) fn finish(&self) {
        let running = std::mem::take(&mut self.lock().running);
        // Each is stopped, whatever becomes of the others.
        let unwritten = running.into_iter().filter_map(|writer| (!writer.stop(LAST_LINES)).then_some(())).count();
        if unwritten > 0 {
            warn!("the last lines of the access log could not be written");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Writers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writers {
    fn forget_ended(&mut self) {
        let dropped = &mut self.dropped;
        self.running.retain(|writer| {
            let has_ended = writer.has_ended();
            if has_ended {
                *dropped += writer.dropped();
            }
            !has_ended
        });
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use http::{Request, StatusCode};
    use larder_semantics::Timestamp;

    use super::*;
    use crate::telemetry::access_log::ResponseRecord;

    fn log(file: &Path) -> Log {
        Log { file: Some(file.to_owned()), ..Log::default() }
    }

    fn writes(access_log: &AccessLog, target: &str) {
        let request = Request::get(target).body(()).expect("a request");
        access_log.begin(&request, None, Timestamp::default).responded(StatusCode::OK, 0, &ResponseRecord::default());
    }

    fn targets(file: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(file).expect("a file");
        text.lines().filter_map(|line| Some(line.split_once(" /")?.1.split(['"', ' ']).next()?.to_owned())).collect()
    }

    #[test]
    fn a_changed_log_goes_on_where_it_goes_to_the_same_place_and_begins_anew_otherwise() {
        let folder = std::env::temp_dir().join(format!("larder-access-logs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (one, other) = (log(&folder.join("one")), log(&folder.join("other")));
        let logs = AccessLogs::default();
        let first = logs.open(&one, None).expect("a log");
        writes(&first, "/a");
        let shaped = Log { only: vec![config::LogCondition::Errors], ..one.clone() };
        let second = logs.open(&shaped, Some((&one, &first))).expect("a log");
        writes(&second, "/hushed");
        assert_eq!(logs.lock().running.len(), 1, "its writer goes on");
        let third = logs.open(&other, Some((&shaped, &second))).expect("a log");
        writes(&third, "/b");
        writes(&first, "/late");
        let off = Log { access: config::AccessLog::Off, ..other.clone() };
        assert!(logs.open(&off, Some((&other, &third))).expect("none").reshaped(&other).is_none());
        let missing = log(&folder.join("no/such/folder"));
        assert!(logs.open(&missing, Some((&other, &third))).is_err());
        logs.finish();
        assert_eq!(targets(&folder.join("one")), ["a", "late"], "a request that began before has its line");
        assert_eq!((targets(&folder.join("other")), logs.dropped()), (vec!["b".to_owned()], 0));
        std::fs::remove_dir_all(&folder).expect("the folder");
    }
}
