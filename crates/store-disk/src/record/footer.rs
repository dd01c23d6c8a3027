//! The footer of a sealed segment: what its records are, so that a restart reads it and not them.
//!
//! ```text
//! items     u64 hash · u32 unit · u32 units · u32 expires · u8 kind · u8 0 · u16 0, each
//! trailer   u32 "LDRF" · u8 format (1) · u8 0 · u16 0 · u64 life · u32 count · u32 CRC-32 of the items · u32 CRC-32 of all before it
//!           zeros, up to the segment's end, which is 64 bytes behind the trailer's beginning
//! ```

use super::reader::Reader;
use super::{FORMAT, Kind, UNIT};

const MAGIC: u32 = u32::from_le_bytes(*b"LDRF");
const TRAILER: usize = 28;

/// Bytes of an item.
pub(crate) const ITEM: usize = 24;

/// A record of the segment that matters without its neighbours: an entry or a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) hash: u64,
    pub(crate) unit: u32,
    pub(crate) units: u32,
    pub(crate) expires: u32,
    pub(crate) kind: Kind,
}

/// The end of a footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) life: u64,
    pub(crate) count: u32,
    sum: u32,
}

/// Bytes of the footer of so many items.
pub(crate) fn length(items: usize) -> u64 {
    (items * ITEM) as u64 + UNIT
}

/// The footer, which ends with the segment.
pub(crate) fn encode(life: u64, items: &[Item]) -> Vec<u8> {
    let mut out = Vec::with_capacity(items.len() * ITEM + UNIT as usize);
    for item in items {
        out.extend_from_slice(&item.hash.to_le_bytes());
        out.extend_from_slice(&item.unit.to_le_bytes());
        out.extend_from_slice(&item.units.to_le_bytes());
        out.extend_from_slice(&item.expires.to_le_bytes());
        out.extend_from_slice(&[item.kind.to_byte(), 0, 0, 0]);
    }
    let (sum, at) = (crc32fast::hash(&out), out.len());
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&[FORMAT, 0, 0, 0]);
    out.extend_from_slice(&life.to_le_bytes());
    out.extend_from_slice(&(items.len() as u32).to_le_bytes());
    out.extend_from_slice(&sum.to_le_bytes());
    let sum = crc32fast::hash(&out[at..]);
    out.extend_from_slice(&sum.to_le_bytes());
    out.resize(at + UNIT as usize, 0);
    out
}

impl Trailer {
    /// Of the last 64 bytes of a segment.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::proven(bytes.get(..TRAILER)?)?;
        if reader.u32()? != MAGIC || reader.u8()? != FORMAT {
            return None;
        }
        let _reserved = (reader.u8()?, reader.u16()?);
        Some(Self { life: reader.u64()?, count: reader.u32()?, sum: reader.u32()? })
    }

    /// The items, of the bytes before it. `None`: they are damaged.
    pub(crate) fn items(&self, bytes: &[u8]) -> Option<Vec<Item>> {
        if bytes.len() != self.count as usize * ITEM || crc32fast::hash(bytes) != self.sum {
            return None;
        }
        bytes.chunks_exact(ITEM).map(item).collect()
    }
}

fn item(bytes: &[u8]) -> Option<Item> {
    let mut reader = Reader::new(bytes);
    let (hash, unit, units, expires) = (reader.u64()?, reader.u32()?, reader.u32()?, reader.u32()?);
    Some(Item { hash, unit, units, expires, kind: Kind::from_byte(reader.u8()?)? })
}
