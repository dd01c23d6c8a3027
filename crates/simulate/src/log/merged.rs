//! The records of several logs in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use larder_semantics::Timestamp;

use super::format::LogFormat;
use super::input::{Lines, Progress};
use super::record::LogRecord;
use super::source::{LineCounts, LogError, Source};

/// Records that wait to be put into order. A server logs a request when it ends, so one that took long stands behind later ones.
const WINDOW: usize = 16 * 1024;

/// A record that waits; the earliest is the greatest, and of two of the same time the one that was read first.
struct Waiting {
    time: Timestamp,
    number: u64,
    /// Boxed, since a heap moves what it holds about once a level.
    record: Box<LogRecord>,
}

impl Waiting {
    fn rank(&self) -> Reverse<(Timestamp, u64)> {
        Reverse((self.time, self.number))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// Logs that are read together: the rotated files of one server, or the files of several.
#[derive(Default)]
pub struct Logs {
    sources: Vec<Source>,
    /// The next record of each log, by the place of the log among them. The earliest is the greatest.
    heads: BinaryHeap<Waiting>,
    window: BinaryHeap<Waiting>,
    read: u64,
    latest_read: Timestamp,
    last: Timestamp,
    counts: LineCounts,
    formats: Vec<String>,
}

impl Logs {
    /// Opens logs. Empty files are none.
    ///
    /// # Errors
    /// [`LogError`] for the first that cannot be read, or whose format is unknown.
    pub fn open<'p>(paths: impl IntoIterator<Item = &'p Path>, format: Option<&LogFormat>, progress: &Progress) -> Result<Self, LogError> {
        let mut logs = Self::default();
        for path in paths {
            Source::open(path, format, progress)?.into_iter().for_each(|source| logs.add(source));
        }
        Ok(logs)
    }

    /// Reads one log from anything, packed or not.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of(name: &str, input: impl Read + Send + 'static, format: Option<&LogFormat>) -> Result<Self, LogError> {
        let (mut logs, file) = (Self::default(), Arc::from(name));
        let lines = Lines::of(input).map_err(|error| LogError::Unreadable { file: Arc::clone(&file), error })?;
        Source::of(file, lines, format)?.into_iter().for_each(|source| logs.add(source));
        Ok(logs)
    }

    fn add(&mut self, source: Source) {
        let format = source.format.to_string();
        if !self.formats.contains(&format) {
            self.formats.push(format);
        }
        self.sources.push(source);
        self.read_head(self.sources.len() - 1);
    }

    /// The formats that are read, each once.
    pub fn formats(&self) -> &[String] {
        &self.formats
    }

    /// Bytes of a line, in the mean of the first ones of each log.
    pub fn mean_line(&self) -> u64 {
        let (bytes, lines) = self.sources.iter().map(|source| source.sampled).fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
        bytes.checked_div(lines).unwrap_or_default()
    }

    /// What was read so far.
    pub fn counts(&self) -> &LineCounts {
        &self.counts
    }

    fn read_head(&mut self, source: usize) {
        if let Some(record) = self.sources[source].next_record(&mut self.counts) {
            self.heads.push(Waiting { time: record.time, number: source as u64, record: Box::new(record) });
        }
    }

    /// The earliest record of those that logs have next.
    fn next_read(&mut self) -> Option<Box<LogRecord>> {
        let Waiting { number, record, .. } = self.heads.pop()?;
        self.read_head(number as usize);
        Some(record)
    }
}

/// The records in the order of time.
impl Iterator for Logs {
    type Item = LogRecord;

    fn next(&mut self) -> Option<LogRecord> {
        while self.window.len() < WINDOW {
            let Some(record) = self.next_read() else { break };
            self.read += 1;
            self.counts.out_of_order += u64::from(record.time < self.latest_read);
            self.latest_read = self.latest_read.max(record.time);
            self.window.push(Waiting { time: record.time, number: self.read, record });
        }
        let mut record = self.window.pop()?.record;
        if record.time < self.last {
            self.counts.late += 1;
            record.time = self.last;
        }
        self.last = record.time;
        Some(*record)
    }
}
