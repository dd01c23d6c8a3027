//! One log: its lines as records, and what is wrong with others.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::facts::Flaw;
use super::format::LogFormat;
use super::input::{Lines, Progress, ReadLine};
use super::record::LogRecord;

/// Lines by which the format is found out.
const MAX_SAMPLE: usize = 20;

/// Broken lines that are kept to be shown.
const MAX_SHOWN: usize = 10;

/// Characters of a broken line that are shown.
const MAX_EXCERPT: usize = 100;

/// A line that is no record.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BrokenLine {
    /// The file, as it was named.
    pub file: String,
    /// From 1 on.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
    /// How it begins.
    pub begins: String,
}

/// What is wrong with lines, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LineCounts {
    /// Lines that were read.
    pub lines: u64,
    /// Those of them that are no record.
    pub broken: u64,
    /// The first of these.
    pub first_broken: Vec<BrokenLine>,
    /// Records whose time is before that of one that came earlier: they were put into order.
    pub out_of_order: u64,
    /// Those of them that came too late for that: they were replayed at the time of the record before.
    pub late: u64,
}

impl LineCounts {
    fn broken(&mut self, line: BrokenLine) {
        self.broken += 1;
        if self.first_broken.len() < MAX_SHOWN {
            self.first_broken.push(line);
        }
    }
}

/// Why a log cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be opened or read.
    #[error("{file} cannot be read: {error}")]
    Unreadable {
        /// The file, as it was named.
        file: Arc<str>,
        /// Why.
        error: io::Error,
    },
    /// It is of no format that is known.
    #[error("{file} is of no format that is known; name it with --format, or give its pattern")]
    UnknownFormat {
        /// The file, as it was named.
        file: Arc<str>,
    },
}

/// A log that is read line by line.
pub(super) struct Source {
    file: Arc<str>,
    lines: Lines,
    pub(super) format: LogFormat,
    /// Lines that were read to find the format out.
    sample: VecDeque<(u64, String)>,
    /// Bytes of these lines with their ends, and how many they were.
    pub(super) sampled: (u64, u64),
    line: u64,
}

impl Source {
    /// Opens a log. Its format is found out where it is not given. `None`: there is no line in it.
    pub(super) fn open(path: &Path, format: Option<&LogFormat>, progress: &Progress) -> Result<Option<Self>, LogError> {
        let file: Arc<str> = if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string().into() };
        let lines = Lines::open(path, progress).map_err(|error| LogError::Unreadable { file: Arc::clone(&file), error })?;
        Self::of(file, lines, format)
    }

    /// As [`Self::open`], of lines that are there.
    pub(super) fn of(file: Arc<str>, mut lines: Lines, format: Option<&LogFormat>) -> Result<Option<Self>, LogError> {
        let unreadable = |error| LogError::Unreadable { file: Arc::clone(&file), error };
        let (mut sample, mut line) = (VecDeque::new(), 0);
        while sample.len() < MAX_SAMPLE {
            match lines.next_line().map_err(unreadable)? {
                None => break,
                Some(ReadLine::TooLong) => line += 1,
                Some(ReadLine::Text(text)) => {
                    line += 1;
                    sample.push_back((line, text.into_owned()));
                }
            }
        }
        let texts = || sample.iter().map(|(_, text)| text.as_str()).filter(|text| !text.is_empty());
        if texts().next().is_none() {
            return Ok(None);
        }
        let format = format.cloned().or_else(|| LogFormat::detect(texts()));
        let format = format.ok_or_else(|| LogError::UnknownFormat { file: Arc::clone(&file) })?;
        let sampled = (sample.iter().map(|(_, text)| text.len() as u64 + 1).sum(), sample.len() as u64);
        Ok(Some(Self { file, lines, format, sample, sampled, line }))
    }

    /// The next record; `None` at the end, which is where the file cannot be read any further.
    pub(super) fn next_record(&mut self, counts: &mut LineCounts) -> Option<LogRecord> {
        loop {
            let (number, read) = match self.sample.pop_front() {
                Some((number, text)) => (number, judged(&mut self.format, &text)),
                None => {
                    self.line += 1;
                    match self.lines.next_line() {
                        Ok(None) => return None,
                        Ok(Some(ReadLine::Text(text))) => (self.line, judged(&mut self.format, &text)),
                        Ok(Some(ReadLine::TooLong)) => (self.line, Err(("it is too long".to_owned(), String::new()))),
                        Err(error) => {
                            let why = format!("the file cannot be read any further: {error}");
                            counts.broken(BrokenLine { file: self.file.to_string(), line: self.line, why, begins: String::new() });
                            return None;
                        }
                    }
                }
            };
            counts.lines += 1;
            match read {
                Ok(Some(record)) => return Some(record),
                Ok(None) => {}
                Err((why, begins)) => counts.broken(BrokenLine { file: self.file.to_string(), line: number, why, begins }),
            }
        }
    }
}

/// Reads a line; where it is broken, why, and how it begins. An empty one says nothing.
fn judged(format: &mut LogFormat, text: &str) -> Result<Option<LogRecord>, (String, String)> {
    if text.is_empty() {
        return Ok(None);
    }
    format.read(text).map_err(|Flaw(why)| (why.to_owned(), text.chars().take(MAX_EXCERPT).collect()))
}
