//! The decoder of a client's blocks of fields (RFC 7541 §3.2).

use bytes::BytesMut;

use super::fields::FieldList;
use super::huffman;
use super::tables::{DynamicTable, Name};

/// Bytes of a client's table, which this server never says to be others (RFC 9113 §6.5.2).
const MAX_TABLE: usize = 4096;

/// A block that cannot be decoded: nothing behind it on its connection can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// A list that is larger than anybody sends who means well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Why a block was not decoded to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    Broken,
    TooLarge,
}

impl From<Broken> for DecodeError {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

impl From<TooLarge> for DecodeError {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

/// The decoder of one connection.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: DynamicTable,
    name: BytesMut,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { table: DynamicTable::new(MAX_TABLE), name: BytesMut::new() }
    }
}

impl Decoder {
    /// Decodes one block into `fields`.
    ///
    /// # Errors
    /// If that cannot be done, or takes too much. The decoder is of no use then.
    pub(crate) fn decode(&mut self, block: &[u8], fields: &mut FieldList) -> Result<(), DecodeError> {
        fields.clear();
        let (mut rest, mut may_resize) = (block, true);
        while let Some(&first) = rest.first() {
            if first & 0xe0 == 0x20 {
                // §4.2: at the beginning of a block, and no more than was agreed on.
                let size = integer(&mut rest, 5)?;
                if !may_resize || size > MAX_TABLE {
                    return Err(DecodeError::Broken);
                }
                self.table.resize(size);
                continue;
            }
            may_resize = false;
            if first & 0x80 == 0 {
                self.literal(first, &mut rest, fields)?;
                continue;
            }
            let (name, value) = self.table.get(integer(&mut rest, 7)?).ok_or(Broken)?;
            let start = fields.text().len();
            fields.text().extend_from_slice(value);
            fields.push(name.clone(), start, false)?;
        }
        Ok(())
    }

    /// §6.2: with indexing, without, or never indexed.
    fn literal(&mut self, first: u8, rest: &mut &[u8], fields: &mut FieldList) -> Result<(), DecodeError> {
        let is_indexed = first & 0x40 != 0;
        let name = match integer(rest, if is_indexed { 6 } else { 4 })? {
            0 => {
                self.name.clear();
                string(rest, &mut self.name)?;
                Name::of(&self.name)
            }
            index => self.table.get(index).ok_or(Broken)?.0.clone(),
        };
        let start = fields.text().len();
        string(rest, fields.text())?;
        if is_indexed {
            self.table.insert(name.clone(), &fields.text()[start..]);
        }
        Ok(fields.push(name, start, first & 0xf0 == 0x10)?)
    }

    #[cfg(test)]
    pub(super) fn table_size(&self) -> usize {
        self.table.size()
    }
}

/// §5.1. Larger ones than a block could need are broken.
fn integer(rest: &mut &[u8], prefix: u32) -> Result<usize, Broken> {
    const MAX_SHIFT: u32 = 21;
    let (first, mut bytes) = rest.split_first().ok_or(Broken)?;
    let max = (1_usize << prefix) - 1;
    let mut value = usize::from(*first) & max;
    if value == max {
        let mut shift = 0;
        loop {
            let (byte, behind) = bytes.split_first().ok_or(Broken)?;
            bytes = behind;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > MAX_SHIFT {
                return Err(Broken);
            }
        }
    }
    *rest = bytes;
    Ok(value)
}

/// Appends a string literal (§5.2).
fn string(rest: &mut &[u8], out: &mut BytesMut) -> Result<(), Broken> {
    let is_huffman = rest.first().ok_or(Broken)? & 0x80 != 0;
    let length = integer(rest, 7)?;
    let (bytes, behind) = rest.split_at_checked(length).ok_or(Broken)?;
    *rest = behind;
    if is_huffman {
        return huffman::decode(bytes, out);
    }
    out.extend_from_slice(bytes);
    Ok(())
}
