//! The readers of what is on the disk, as functions of bytes: for the fuzz targets in `fuzz/`, and no part of the library's interface.

use bytes::Bytes;

use crate::engine::fuzzing::small_files;
use crate::record::entry::Entry;
use crate::record::footer::{ITEM, Trailer};
use crate::record::part::Table;
use crate::record::segment::SegmentHeader;
use crate::record::{HEADER, Header};

/// Bytes that stand at the place of each kind of record in turn, with right checksums: who can write to the disk can write those too.
pub fn records(data: &[u8]) {
    if let Some(header) = Header::decode(&summed(data, HEADER)) {
        assert_eq!(Header::decode(&header.encode()), Some(header));
        let _ = (header.units(), Table::chunks(header.length));
    }
    if let Some(header) = SegmentHeader::decode(&summed(data, 28)) {
        assert_eq!(SegmentHeader::decode(&header.encode()), Some(header));
    }
    if let Some(entry) = Entry::decode(Bytes::copy_from_slice(data)) {
        assert_eq!(Entry::decode(entry.encode().into()), Some(entry));
    }
    for is_framed in [false, true] {
        if let Some(table) = Table::decode(data, is_framed) {
            assert_eq!(table.encode(), data);
            (0..=table.chunks.len()).for_each(|chunk| _ = table.range(chunk, data.len() as u32));
        }
    }
    let (trailer, items) = data.split_at(data.len().min(24));
    if let Some(trailer) = Trailer::decode(&summed(trailer, 28)) {
        let _ = trailer.items(&items[..items.len() / ITEM * ITEM]);
    }
    small_files(&summed(data, data.len().max(4)));
}

/// The bytes, cut or filled with zeros to a length, whose last four are a right checksum.
fn summed(data: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = data[..data.len().min(length - 4)].to_vec();
    bytes.resize(length - 4, 0);
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}
