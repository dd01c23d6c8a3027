//! Targets of `larder-simulate`: lines of access logs, which clients have written in part, and the patterns that people give for them.

use std::io::Cursor;

use larder_simulate::{LogFormat, LogRecord, Logs, NAMES};

/// Every target of this crate.
pub const TARGETS: &[super::FuzzTarget] = &[("access_logs", access_logs), ("log_patterns", log_patterns)];

/// Records of one input that are read: a packed one may have very many.
const MAX_RECORDS: usize = 4096;

/// A log whose format the first byte names, or which is found out.
pub fn access_logs(data: &[u8]) {
    let Some((format, log)) = data.split_first() else { return };
    let format = NAMES.get(usize::from(*format)).map(|name| LogFormat::parse(name).expect("a name is one"));
    read(format.as_ref(), log);
}

/// A pattern in the first line, and a log that is to follow it.
pub fn log_patterns(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let Ok(format) = LogFormat::parse(&String::from_utf8_lossy(&data[..end])) else { return };
    read(Some(&format), data.get(end + 1..).unwrap_or_default());
}

/// Every line is a record or is counted as broken; records come in the order of time, can be asked for, and are the same when they are read again.
fn read(format: Option<&LogFormat>, log: &[u8]) {
    let open = || Logs::of("access.log", Cursor::new(log.to_vec()), format);
    let (Ok(mut logs), Ok(again)) = (open(), open()) else { return };
    let records: Vec<LogRecord> = logs.by_ref().take(MAX_RECORDS).collect();
    for pair in records.windows(2) {
        assert!(pair[0].time <= pair[1].time, "{pair:?}");
    }
    for record in &records {
        assert!(record.target.path().starts_with('/') || record.target.path() == "*", "{record:?}");
    }
    let counts = logs.counts();
    // Where the bytes cannot be read any further is broken, too, and is no line.
    assert!(counts.broken + records.len() as u64 <= counts.lines + 1, "{counts:?}");
    assert!(counts.late <= counts.out_of_order && counts.first_broken.len() as u64 <= counts.broken, "{counts:?}");
    let again: Vec<LogRecord> = again.take(MAX_RECORDS).collect();
    assert_eq!(format!("{records:?}"), format!("{again:?}"));
}
