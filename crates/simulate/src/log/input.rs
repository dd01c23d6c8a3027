//! The bytes of a log: a file or standard input, packed or not, in lines of bounded length.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// The longest line, in bytes. A longer one is broken, and is not kept in memory.
const MAX_LINE: usize = 64 * 1024;

/// Bytes that are read at a time.
const BUFFER: usize = 128 * 1024;

/// How much of the files has been read, as they lie there; for a progress bar.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    read: Arc<AtomicU64>,
}

impl Progress {
    /// Bytes that have been read.
    pub fn bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

/// Counts the bytes that are read.
struct Counting<R> {
    inner: R,
    progress: Progress,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.progress.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The lines of one log.
pub(super) struct Lines {
    bytes: Box<dyn BufRead + Send>,
    line: Vec<u8>,
}

/// A line, or why it is none.
pub(super) enum ReadLine<'l> {
    Text(Cow<'l, str>),
    TooLong,
}

impl Lines {
    /// Opens a file; `-` is standard input. Gzip and zstd are known by their first bytes.
    pub(super) fn open(path: &Path, progress: &Progress) -> io::Result<Self> {
        let raw: Box<dyn Read + Send> = if path.as_os_str() == "-" { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
        Self::of(Counting { inner: raw, progress: progress.clone() })
    }

    /// The same of anything.
    pub(super) fn of(raw: impl Read + Send + 'static) -> io::Result<Self> {
        let mut raw = BufReader::with_capacity(BUFFER, raw);
        let bytes: Box<dyn BufRead + Send> = match raw.fill_buf()? {
            [0x1f, 0x8b, ..] => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(raw))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(BufReader::with_capacity(BUFFER, zstd::Decoder::with_buffer(raw)?)),
            _ => Box::new(raw),
        };
        Ok(Self { bytes, line: Vec::new() })
    }

    /// The next line without its end; `None` at the end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<ReadLine<'_>>> {
        self.line.clear();
        let count = (&mut self.bytes).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut self.line)?;
        if count == 0 {
            return Ok(None);
        }
        if count > MAX_LINE && self.line.last() != Some(&b'\n') {
            self.line.clear();
            while skip_line(&mut *self.bytes)? {}
            return Ok(Some(ReadLine::TooLong));
        }
        let text = self.line.trim_ascii_end();
        Ok(Some(ReadLine::Text(String::from_utf8_lossy(text))))
    }
}

/// Skips what is in the buffer, up to behind the end of the line. Whether that has not come yet.
fn skip_line(bytes: &mut dyn BufRead) -> io::Result<bool> {
    let buffer = bytes.fill_buf()?;
    let (used, goes_on) = match memchr::memchr(b'\n', buffer) {
        Some(at) => (at + 1, false),
        None => (buffer.len(), !buffer.is_empty()),
    };
    bytes.consume(used);
    Ok(goes_on)
}
