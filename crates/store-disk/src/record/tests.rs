//! The bytes of every kind of record, as a released version has stored them.

use bytes::Bytes;
use larder_store::{Epoch, LogPosition};

use super::entry::{Body, Entry, PartPlace};
use super::footer::{self, Item, Trailer};
use super::part::Table;
use super::segment::SegmentHeader;
use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn header(kind: Kind) -> Header {
    Header {
        kind,
        run: 2,
        expires: 3,
        life: 0x0102_0304_0506_0708,
        hash: 0x1112_1314_1516_1718,
        fetch: 0x2122_2324_2526_2728,
        length: 100,
        sum: 7,
    }
}

fn entry(body: Body) -> Entry {
    let position = LogPosition { epoch: Epoch::from_bits(9).unwrap(), number: 10 };
    Entry { position: Some(position), frame: Bytes::from_static(b"frame"), body }
}

fn bodies() -> [Body; 3] {
    let part = |unit| PartPlace { slot: 1, unit, life: 5, length: 6 };
    [Body::Inline(Bytes::from_static(b"hello")), Body::Parts(vec![part(2), part(3)]), Body::Selecting]
}

fn items() -> [Item; 2] {
    [(Kind::Entry, 1), (Kind::Removal, 2)].map(|(kind, unit)| Item { hash: 3, unit, units: 4, expires: 5, kind })
}

#[test]
fn golden_bytes_of_records() {
    let headers = [Kind::Entry, Kind::Part, Kind::Removal].map(|kind| hex(&header(kind).encode()));
    let entries = bodies().map(|body| hex(&entry(body).encode()));
    let table = hex(&Table { number: 1, sums: vec![2, 3] }.encode());
    let segment = hex(&SegmentHeader { life: 1, sequence: 2 }.encode());
    let footer = hex(&footer::encode(1, &items()));
    let all: Vec<String> = headers.into_iter().chain(entries).chain([table, segment, footer]).collect();
    assert_eq!(all.join("\n"), include_str!("golden/records-1.hex").trim());
}

#[test]
fn what_was_written_is_read() {
    for kind in [Kind::Entry, Kind::Part, Kind::Removal] {
        assert_eq!(Header::decode(&header(kind).encode()), Some(header(kind)));
    }
    for body in bodies() {
        assert_eq!(Entry::decode(entry(body.clone()).encode().into()), Some(entry(body)));
    }
    let footer = footer::encode(1, &items());
    let (listed, trailer) = footer.split_at(footer.len() - UNIT as usize);
    assert_eq!(Trailer::decode(trailer).and_then(|trailer| trailer.items(listed)), Some(items().to_vec()));
}

#[test]
fn a_damaged_byte_of_a_header_or_a_footer_is_noticed() {
    let (record, segment) = (header(Kind::Entry).encode(), SegmentHeader { life: 1, sequence: 2 }.encode());
    for at in 0..record.len() {
        let mut damaged = record;
        damaged[at] ^= 0x10;
        assert_eq!(Header::decode(&damaged), None, "byte {at}");
    }
    for at in 0..28 {
        let mut damaged = segment;
        damaged[at] ^= 0x10;
        assert_eq!(SegmentHeader::decode(&damaged), None, "byte {at}");
    }
    let footer = footer::encode(1, &items());
    for at in 0..footer.len() - (UNIT as usize - 28) {
        let mut damaged = footer.clone();
        damaged[at] ^= 0x10;
        let (listed, trailer) = damaged.split_at(footer.len() - UNIT as usize);
        assert_eq!(Trailer::decode(trailer).and_then(|trailer| trailer.items(listed)), None, "byte {at}");
    }
}

#[test]
fn the_chunks_of_a_part_follow_from_its_length() {
    use larder_store::SEGMENT;
    for chunks in 1..=part::MAX_CHUNKS {
        for last in [1, SEGMENT] {
            let length = Table::length(chunks) + (chunks - 1) * SEGMENT + last;
            assert_eq!(Table::chunks(length as u32), Some(chunks), "{chunks} chunks, the last of {last} bytes");
        }
    }
    assert_eq!((Table::chunks(7), Table::chunks(8), Table::chunks(u32::MAX)), (None, None, None));
}
