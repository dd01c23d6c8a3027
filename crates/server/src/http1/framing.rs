//! Follows the framing of an HTTP/1.1 connection byte by byte, for what another server on the way might read in another way (RFC 9112 §11.2):
//! heads with both `Content-Length` and `Transfer-Encoding`, and lines that end in a bare LF, in heads, chunk sizes and trailer sections.
//!
//! A request with both fields is refused (RFC 9112 §6.1: it may be an attempt at request smuggling), but hyper drops the `Content-Length`
//! before anyone sees it. A bare LF may be recognized as the end of a line (RFC 9112 §2.2). hyper does so in heads, and in a trailer section
//! it does not: there `X: a<LF><CRLF>` is the end of the request to many servers, and to hyper the beginning of a field that goes on with the
//! next request.
//!
//! 1. `inspect` goes through the bytes as they arrive, in pieces of any length.
//! 2. In a head, what is wrong is noted in [`FramingFaults`]: its request is refused when it is judged.
//! 3. In content the request is under way already, so the bytes end before the one that is wrong ([`chunked`]).

use crate::http1::chunked::{self, ChunkedWatch};
use crate::request::faults::FramingFaults;

const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";
/// Bytes of a line that are looked at: enough for either name, and for a length with some white space around it.
const LINE_START: usize = 64;

/// The framing of one connection, followed so far.
#[derive(Debug, Default)]
pub(crate) struct FramingWatch {
    state: State,
    faults: FramingFaults,
}

/// The part of a message that the next byte belongs to.
#[derive(Debug)]
enum State {
    Head(Head),
    /// Content of announced length, with so many bytes still to come.
    Content(u64),
    Chunked(ChunkedWatch),
}

impl Default for State {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

/// A head, as far as it has arrived.
#[derive(Debug)]
struct Head {
    /// The start of the current line.
    line: [u8; LINE_START],
    filled: usize,
    /// The line is longer than `line`.
    is_longer: bool,
    length: Option<u64>,
    has_coding: bool,
    /// The last byte seen.
    last: u8,
}

impl Default for Head {
    fn default() -> Self {
        Self { line: [0; LINE_START], filled: 0, is_longer: false, length: None, has_coding: false, last: 0 }
    }
}

impl FramingWatch {
    /// Looks at the next bytes, and returns how many of them are valid: if content breaks its framing, those before the byte that does.
    pub(crate) fn inspect(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            let next = match &mut self.state {
                State::Head(head) => {
                    let (seen, next) = head.inspect(rest, &mut self.faults);
                    rest = &rest[seen..];
                    next
                }
                State::Content(left) => {
                    let seen = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= seen as u64;
                    rest = &rest[seen..];
                    (*left == 0).then(State::default)
                }
                State::Chunked(watch) => match watch.inspect(rest) {
                    chunked::Inspected::Good { bytes, is_end } => {
                        rest = &rest[bytes..];
                        is_end.then(State::default)
                    }
                    chunked::Inspected::Broken { good } => return bytes.len() - rest.len() + good,
                },
            };
            if let Some(next) = next {
                self.state = next;
            }
        }
        bytes.len()
    }

    /// Whether content has begun and not ended.
    pub(crate) fn is_in_content(&self) -> bool {
        matches!(self.state, State::Content(_) | State::Chunked(_))
    }

    /// Faults in heads so far.
    pub(crate) fn faults(&self) -> FramingFaults {
        self.faults
    }
}

impl Head {
    /// Looks at bytes up to the end of the head. Returns how many, and the next state if the head has ended.
    fn inspect(&mut self, bytes: &[u8], faults: &mut FramingFaults) -> (usize, Option<State>) {
        let mut seen = 0;
        while let Some(end) = memchr::memchr(b'\n', &bytes[seen..]).map(|end| seen + end) {
            self.collect(&bytes[seen..end]);
            let before = end.checked_sub(1).map_or(self.last, |before| bytes[before]);
            faults.bare_lf |= before != b'\r';
            (self.last, seen) = (b'\n', end + 1);
            if let Some(next) = self.end_line(faults) {
                return (seen, Some(next));
            }
        }
        self.collect(&bytes[seen..]);
        self.last = bytes.last().copied().unwrap_or(self.last);
        (bytes.len(), None)
    }

    fn collect(&mut self, part: &[u8]) {
        let taken = part.len().min(LINE_START - self.filled);
        self.line[self.filled..self.filled + taken].copy_from_slice(&part[..taken]);
        self.filled += taken;
        self.is_longer |= taken < part.len();
    }

    /// The next state, if this line was the last one of its head.
    fn end_line(&mut self, faults: &mut FramingFaults) -> Option<State> {
        let line = &self.line[..self.filled];
        if line.is_empty() || line == b"\r" {
            return Some(self.content());
        }
        if let Some(value) = value_of(line, CONTENT_LENGTH) {
            let length = length(value).filter(|length| !self.is_longer && self.length.is_none_or(|before| before == *length));
            faults.odd_length |= length.is_none();
            self.length = length.or(self.length).or(Some(0));
        }
        self.has_coding |= value_of(line, TRANSFER_ENCODING).is_some();
        faults.ambiguous |= self.has_coding && self.length.is_some();
        (self.filled, self.is_longer) = (0, false);
        None
    }

    /// The state behind this head. hyper knows only the coding `chunked`, and refuses every other.
    fn content(&self) -> State {
        match self.length {
            _ if self.has_coding => State::Chunked(ChunkedWatch::default()),
            None | Some(0) => State::default(),
            Some(length) => State::Content(length),
        }
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let is_it = line.len() > name.len() && line[name.len()] == b':' && line[..name.len()].eq_ignore_ascii_case(name);
    is_it.then(|| line[name.len() + 1..].trim_ascii())
}

/// Digits only (RFC 9110 §8.6).
fn length(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
