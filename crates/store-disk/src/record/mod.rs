//! The bytes in a segment. All numbers are little-endian.
//!
//! ```text
//! segment   header (64) · records, each on a multiple of 64 · ... · footer, once it is sealed
//!
//! record    u32 "LDRR" · u8 format (1) · u8 kind · u16 0
//!           u32 run · u32 expires, in seconds since 1970
//!           u64 life of the segment · u64 hash of the key · u64 fetch
//!           u32 length of the payload · u32 CRC-32 of what it covers · u32 CRC-32 of all before it
//!           payload
//! kind 1    an entry ([`entry`]): the CRC covers the whole payload
//! kind 2    a part of a long body ([`part`]): the CRC covers the table before the chunks, and the table has one for each chunk
//! kind 3    a removal: no payload
//! kind 4    as kind 2, of a body whose chunks are framed
//! ```
//!
//! A segment gets another *life* each time that it is written anew, so that no record of an earlier one is taken for one of this. The *run*
//! counts the processes that had the store open: within a segment it never falls, so that records which a crash left behind the end are
//! not read as if they had been written later.

pub(crate) mod entry;
pub(crate) mod footer;
pub(crate) mod part;
pub(crate) mod reader;
pub(crate) mod segment;

use reader::Reader;

/// Every record begins on a multiple of so many bytes.
pub(crate) const UNIT: u64 = 64;

/// Bytes of a record's header.
pub(crate) const HEADER: usize = 52;

const MAGIC: u32 = u32::from_le_bytes(*b"LDRR");
const FORMAT: u8 = 1;

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Entry,
    Part,
    Removal,
    FramedPart,
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) run: u32,
    /// In seconds since 1970: afterwards the record is of no use.
    pub(crate) expires: u32,
    pub(crate) life: u64,
    pub(crate) hash: u64,
    /// The number of the fetch; for a part, of the fetch that brought the body.
    pub(crate) fetch: u64,
    /// Bytes of the payload.
    pub(crate) length: u32,
    /// Of the bytes that are to be proven with the header.
    pub(crate) sum: u32,
}

impl Kind {
    /// The kind of a part.
    pub(crate) fn of_part(is_framed: bool) -> Self {
        if is_framed { Self::FramedPart } else { Self::Part }
    }

    /// Whether it is a part of a body, which matters with its entry only.
    pub(crate) fn is_part(self) -> bool {
        matches!(self, Self::Part | Self::FramedPart)
    }

    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Self::Entry => 1,
            Self::Part => 2,
            Self::Removal => 3,
            Self::FramedPart => 4,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Entry),
            2 => Some(Self::Part),
            3 => Some(Self::Removal),
            4 => Some(Self::FramedPart),
            _ => None,
        }
    }
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[FORMAT, self.kind.to_byte(), 0, 0]);
        out.extend_from_slice(&self.run.to_le_bytes());
        out.extend_from_slice(&self.expires.to_le_bytes());
        for number in [self.life, self.hash, self.fetch] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.sum.to_le_bytes());
        let sum = crc32fast::hash(&out);
        let mut header = [0; HEADER];
        header[..HEADER - 4].copy_from_slice(&out);
        header[HEADER - 4..].copy_from_slice(&sum.to_le_bytes());
        header
    }

    /// `None`: the bytes are damaged, of another version, or never were a header.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::proven(bytes.get(..HEADER)?)?;
        if reader.u32()? != MAGIC || reader.u8()? != FORMAT {
            return None;
        }
        let kind = Kind::from_byte(reader.u8()?)?;
        let _reserved = reader.u16()?;
        Some(Self {
            kind,
            run: reader.u32()?,
            expires: reader.u32()?,
            life: reader.u64()?,
            hash: reader.u64()?,
            fetch: reader.u64()?,
            length: reader.u32()?,
            sum: reader.u32()?,
        })
    }

    /// Units that the record takes.
    pub(crate) fn units(&self) -> u32 {
        units(u64::from(self.length))
    }
}

/// Units that a record with such a payload takes; more than any segment has where they cannot be counted.
pub(crate) fn units(payload: u64) -> u32 {
    u32::try_from((payload.saturating_add(HEADER as u64)).div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
