//! The payload of a part of a long body: so many chunks of 256 KiB, the body's last one shorter.
//!
//! ```text
//! u32 number of the part, from 0 · u32 count · u32 CRC-32 of each chunk · the chunks
//! ```
//!
//! A chunk that is compressed or sealed is a frame of any length: then each CRC-32 has the u32 length of its frame before it.

use std::ops::Range;

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
    /// Its chunks.
    pub(crate) chunks: Vec<Chunk>,
}

/// A chunk in such a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Its checksum.
    pub(crate) sum: u32,
    /// Bytes of its frame; `None` where it is plain, and has as many bytes as there are, up to a segment.
    pub(crate) length: Option<u32>,
}

impl Table {
    /// Of these chunks.
    pub(crate) fn of(number: u32, chunks: &[Bytes], is_framed: bool) -> Self {
        let chunk = |chunk: &Bytes| Chunk { sum: crc32fast::hash(chunk), length: is_framed.then_some(chunk.len() as u32) };
        Self { number, chunks: chunks.iter().map(chunk).collect() }
    }

    /// Bytes of a table of so many chunks.
    pub(crate) fn length(chunks: usize, is_framed: bool) -> usize {
        8 + chunks * if is_framed { 8 } else { 4 }
    }

    /// Where in a payload of so many bytes a chunk is. `None`: nowhere.
    pub(crate) fn range(&self, chunk: usize, payload: u32) -> Option<Range<usize>> {
        let before = |chunk: &Chunk| chunk.length.map_or(SEGMENT, |length| length as usize);
        let is_framed = self.chunks.get(chunk)?.length.is_some();
        let start = Self::length(self.chunks.len(), is_framed) + self.chunks[..chunk].iter().map(before).sum::<usize>();
        // The last chunk of a body may be shorter, and is the last of its part.
        let end = match self.chunks[chunk].length {
            Some(length) => start + length as usize,
            None => (start + SEGMENT).min(payload as usize),
        };
        (start <= end && end <= payload as usize).then_some(start..end)
    }

    /// How many chunks a part with such a payload has. `None`: no part has such a payload.
    pub(crate) fn chunks(payload: u32) -> Option<usize> {
        let count = (payload as usize).checked_sub(8)?.div_ceil(SEGMENT + 4);
        (1..=MAX_CHUNKS).contains(&count).then_some(count)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::length(self.chunks.len(), true));
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&(self.chunks.len() as u32).to_le_bytes());
        for chunk in &self.chunks {
            chunk.length.iter().for_each(|length| out.extend_from_slice(&length.to_le_bytes()));
            out.extend_from_slice(&chunk.sum.to_le_bytes());
        }
        out
    }

    /// Of bytes whose checksum has been compared.
    pub(crate) fn decode(bytes: &[u8], is_framed: bool) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (number, count) = (reader.u32()?, reader.u32()? as usize);
        if count > MAX_CHUNKS || bytes.len() != Self::length(count, is_framed) {
            return None;
        }
        let chunks = (0..count).map(|_| {
            let length = if is_framed { Some(reader.u32()?) } else { None };
            Some(Chunk { sum: reader.u32()?, length })
        });
        let chunks = chunks.collect::<Option<_>>()?;
        Some(Self { number, chunks })
    }
}
