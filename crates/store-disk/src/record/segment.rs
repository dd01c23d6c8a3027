//! The header of a segment: the first 64 bytes.
//!
//! ```text
//! u32 "LDRS" · u8 format (1) · u8 0 · u16 0 · u64 life · u64 sequence · u32 CRC-32 of all before it · zeros
//! ```

use super::reader::Reader;
use super::{FORMAT, UNIT};

const MAGIC: u32 = u32::from_le_bytes(*b"LDRS");
const LENGTH: usize = 28;

/// Which life of a segment it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Drawn at random for each time that the segment is written anew.
    pub(crate) life: u64,
    /// The later segment has the larger number.
    pub(crate) sequence: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; UNIT as usize] {
        let mut out = [0; UNIT as usize];
        out[..4].copy_from_slice(&MAGIC.to_le_bytes());
        out[4] = FORMAT;
        out[8..16].copy_from_slice(&self.life.to_le_bytes());
        out[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        let sum = crc32fast::hash(&out[..LENGTH - 4]);
        out[LENGTH - 4..LENGTH].copy_from_slice(&sum.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::proven(bytes.get(..LENGTH)?)?;
        if reader.u32()? != MAGIC || reader.u8()? != FORMAT {
            return None;
        }
        let _reserved = (reader.u8()?, reader.u16()?);
        let header = Self { life: reader.u64()?, sequence: reader.u64()? };
        (header.life != 0).then_some(header)
    }
}
