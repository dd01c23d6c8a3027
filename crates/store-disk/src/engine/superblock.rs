//! The file `store`: what the segments were made with.
//!
//! ```text
//! u32 "LDRD" · u8 format (1) · u8 0 · u16 0 · u64 bytes of a segment · u64 seed of the hashes · u32 run · u32 CRC-32 of all before it
//! ```

use crate::record::reader::Reader;

/// Its name.
pub(super) const FILE: &str = "store";

const MAGIC: u32 = u32::from_le_bytes(*b"LDRD");
const FORMAT: u8 = 1;

/// See the module's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    pub(super) segment_size: u64,
    /// Keys are hashed with it, so that no client can choose keys that collide.
    pub(super) seed: u64,
    /// Processes that had the store open, this one included.
    pub(super) run: u32,
}

impl Superblock {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[FORMAT, 0, 0, 0]);
        out.extend_from_slice(&self.segment_size.to_le_bytes());
        out.extend_from_slice(&self.seed.to_le_bytes());
        out.extend_from_slice(&self.run.to_le_bytes());
        let sum = crc32fast::hash(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::proven(bytes)?;
        if reader.u32()? != MAGIC || reader.u8()? != FORMAT {
            return None;
        }
        let _reserved = (reader.u8()?, reader.u16()?);
        let block = Self { segment_size: reader.u64()?, seed: reader.u64()?, run: reader.u32()? };
        reader.is_empty().then_some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_the_superblock() {
        let block = Superblock { segment_size: 64 << 20, seed: 0x0102_0304_0506_0708, run: 9 };
        let bytes = block.encode();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "4c445244010000000000000400000000080706050403020109000000988d563c");
        assert_eq!(Superblock::decode(&bytes), Some(block));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Superblock::decode(&damaged), None, "byte {at}");
        }
    }
}
