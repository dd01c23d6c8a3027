//! Chunked content (RFC 9112 §7.1): every line ends in CRLF and nothing else, and no CR is anywhere else in one.

/// Where in a chunked body the next byte is.
#[derive(Debug, Default)]
pub(crate) struct ChunkedWatch {
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the digits of a size, of which there were so many.
    Size {
        size: u64,
        digits: u8,
    },
    /// In what follows the digits: white space and extensions.
    Extension {
        size: u64,
    },
    /// Behind the CR of a size's line.
    SizeEnd {
        size: u64,
    },
    /// In a chunk, of which so much is still to come.
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

impl Default for Place {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

/// What came of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// So many belong to the content, which has ended with them or goes on.
    Good { bytes: usize, is_end: bool },
    /// The byte behind this many must not be there.
    Broken { good: usize },
}

impl ChunkedWatch {
    /// Looks at bytes up to the end of the content.
    pub(crate) fn see(&mut self, bytes: &[u8]) -> Seen {
        let mut seen = 0;
        while let Some(&byte) = bytes.get(seen) {
            if let Place::Chunk { left } = self.place {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - seen);
                seen += taken;
                let left = left - taken as u64;
                self.place = if left == 0 { Place::ChunkCr } else { Place::Chunk { left } };
                continue;
            }
            let Some(next) = after(self.place, byte) else { return Seen::Broken { good: seen } };
            seen += 1;
            match next {
                Some(next) => self.place = next,
                None => return Seen::Good { bytes: seen, is_end: true },
            }
        }
        Seen::Good { bytes: seen, is_end: false }
    }
}

/// Where the byte after this one is; `Some(None)` behind the last. `None` where the byte must not be there.
fn after(place: Place, byte: u8) -> Option<Option<Place>> {
    let next = match (place, byte) {
        (Place::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
            let digit = char::from(byte).to_digit(16)?;
            Place::Size { size: size.checked_mul(16)?.checked_add(u64::from(digit))?, digits: digits.checked_add(1)? }
        }
        (Place::Size { digits: 0, .. }, _) => return None,
        (Place::Size { size, .. } | Place::Extension { size }, b'\r') => Place::SizeEnd { size },
        (Place::Size { size, .. }, b';' | b' ' | b'\t') => Place::Extension { size },
        (Place::Size { .. }, _) | (Place::Extension { .. }, b'\n') => return None,
        (Place::Extension { size }, _) => Place::Extension { size },
        (Place::SizeEnd { size: 0 }, b'\n') => Place::Trailer { is_empty: true },
        (Place::SizeEnd { size }, b'\n') => Place::Chunk { left: size },
        (Place::ChunkCr, b'\r') => Place::ChunkLf,
        (Place::ChunkLf, b'\n') => Place::default(),
        (Place::Trailer { is_empty }, b'\r') => Place::TrailerEnd { is_empty },
        (Place::Trailer { .. }, b'\n') => return None,
        (Place::Trailer { .. }, _) => Place::Trailer { is_empty: false },
        (Place::TrailerEnd { is_empty: true }, b'\n') => return Some(None),
        (Place::TrailerEnd { is_empty: false }, b'\n') => Place::Trailer { is_empty: true },
        (Place::SizeEnd { .. } | Place::ChunkCr | Place::ChunkLf | Place::TrailerEnd { .. }, _) => return None,
        // Chunks are counted, not looked at.
        (Place::Chunk { .. }, _) => place,
    };
    Some(Some(next))
}
