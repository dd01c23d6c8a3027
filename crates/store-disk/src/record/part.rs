//! The payload of a part of a long body: so many chunks of 256 KiB, the body's last one shorter.
//!
//! ```text
//! u32 number of the part, from 0 · u32 count · u32 CRC-32 of each chunk · the chunks
//! ```

use bytes::Bytes;
use larder_store::SEGMENT;

use super::reader::Reader;

/// Chunks of a part, at most: 4 MiB.
pub(crate) const MAX_CHUNKS: usize = 16;

/// The table before the chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Which of the body's parts it is.
    pub(crate) number: u32,
    /// The checksums of its chunks.
    pub(crate) sums: Vec<u32>,
}

impl Table {
    /// Of these chunks.
    pub(crate) fn of(number: u32, chunks: &[Bytes]) -> Self {
        Self { number, sums: chunks.iter().map(|chunk| crc32fast::hash(chunk)).collect() }
    }

    /// Bytes of a table of so many chunks.
    pub(crate) fn length(chunks: usize) -> usize {
        8 + 4 * chunks
    }

    /// How many chunks a part with such a payload has. `None`: no part has such a payload.
    pub(crate) fn chunks(payload: u32) -> Option<usize> {
        let count = (payload as usize).checked_sub(8)?.div_ceil(SEGMENT + 4);
        (1..=MAX_CHUNKS).contains(&count).then_some(count)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::length(self.sums.len()));
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&(self.sums.len() as u32).to_le_bytes());
        self.sums.iter().for_each(|sum| out.extend_from_slice(&sum.to_le_bytes()));
        out
    }

    /// Of bytes whose checksum has been compared.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (number, count) = (reader.u32()?, reader.u32()? as usize);
        if count > MAX_CHUNKS || reader.left() != 4 * count {
            return None;
        }
        let sums = (0..count).map(|_| reader.u32()).collect::<Option<_>>()?;
        Some(Self { number, sums })
    }
}
