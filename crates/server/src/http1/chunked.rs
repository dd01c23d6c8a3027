//! Chunked content (RFC 9112 §7.1): every line ends in CRLF and nothing else, and no CR is anywhere else in one. Nor is there another control
//! character behind a size, where it may end the line for another reader.

/// Where in a chunked body the next byte is.
#[derive(Debug, Default)]
pub(crate) struct ChunkedWatch {
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In the digits of a size, with their number.
    Size {
        size: u64,
        digits: u8,
    },
    /// In the white space and extensions behind the digits.
    Extension {
        size: u64,
    },
    /// Behind the CR of a size's line.
    SizeEnd {
        size: u64,
    },
    /// In a chunk, with so many bytes still to come.
    Chunk {
        left: u64,
    },
    /// Behind a chunk.
    ChunkCr,
    ChunkLf,
    /// In the trailer section's lines.
    Trailer {
        is_empty: bool,
    },
    /// Behind the CR of such a line.
    TrailerEnd {
        is_empty: bool,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

/// The result of looking at some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inspected {
    /// So many bytes belong to the content; `is_end` if it has ended with them.
    Good { bytes: usize, is_end: bool },
    /// So many bytes are valid, and the next one is not.
    Broken { good: usize },
}

impl ChunkedWatch {
    /// Looks at bytes up to the end of the content.
    pub(crate) fn inspect(&mut self, bytes: &[u8]) -> Inspected {
        let mut seen = 0;
        while let Some(&byte) = bytes.get(seen) {
            if let State::Chunk { left } = self.state {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - seen);
                seen += taken;
                let left = left - taken as u64;
                self.state = if left == 0 { State::ChunkCr } else { State::Chunk { left } };
                continue;
            }
            let Some(next) = after(self.state, byte) else { return Inspected::Broken { good: seen } };
            seen += 1;
            match next {
                Some(next) => self.state = next,
                None => return Inspected::Good { bytes: seen, is_end: true },
            }
        }
        Inspected::Good { bytes: seen, is_end: false }
    }
}

/// The state after this byte; `Some(None)` after the last. `None` if the byte is not valid here.
fn after(state: State, byte: u8) -> Option<Option<State>> {
    let next = match (state, byte) {
        (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
            let digit = char::from(byte).to_digit(16)?;
            State::Size { size: size.checked_mul(16)?.checked_add(u64::from(digit))?, digits: digits.checked_add(1)? }
        }
        (State::Size { digits: 0, .. }, _) => return None,
        (State::Size { size, .. } | State::Extension { size }, b'\r') => State::SizeEnd { size },
        (State::Size { size, .. }, b';' | b' ' | b'\t') => State::Extension { size },
        (State::Size { .. }, _) => return None,
        (State::Extension { size }, _) if byte == b'\t' || !byte.is_ascii_control() => State::Extension { size },
        (State::Extension { .. }, _) => return None,
        (State::SizeEnd { size: 0 }, b'\n') => State::Trailer { is_empty: true },
        (State::SizeEnd { size }, b'\n') => State::Chunk { left: size },
        (State::ChunkCr, b'\r') => State::ChunkLf,
        (State::ChunkLf, b'\n') => State::default(),
        (State::Trailer { is_empty }, b'\r') => State::TrailerEnd { is_empty },
        (State::Trailer { .. }, b'\n') => return None,
        (State::Trailer { .. }, _) => State::Trailer { is_empty: false },
        (State::TrailerEnd { is_empty: true }, b'\n') => return Some(None),
        (State::TrailerEnd { is_empty: false }, b'\n') => State::Trailer { is_empty: true },
        (State::SizeEnd { .. } | State::ChunkCr | State::ChunkLf | State::TrailerEnd { .. }, _) => return None,
        // Chunks are counted, not looked at.
        (State::Chunk { .. }, _) => state,
    };
    Some(Some(next))
}
