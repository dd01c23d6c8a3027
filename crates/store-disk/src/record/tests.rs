//! The bytes of every kind of record, as a released version has stored them.

use bytes::Bytes;
use larder_store::{Epoch, LogPosition};

use super::entry::{Body, Entry, PartPlace};
use super::footer::{self, Item, Trailer};
use super::part::{Chunk, Table};
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
    let part = |unit| PartPlace { slot: 1, unit, life: 5, length: 6, frames: 0 };
    [Body::Inline(Bytes::from_static(b"hello")), Body::Parts(vec![part(2), part(3)]), Body::Selecting]
}

fn chunk(sum: u32, length: Option<u32>) -> Chunk {
    Chunk { sum, length }
}

/// Of bodies whose chunks are framed.
fn framed_bodies() -> [Body; 2] {
    [Body::Framed(Bytes::from_static(b"hello")), Body::Parts(vec![PartPlace { slot: 1, unit: 2, life: 5, length: 6, frames: 7 }])]
}

fn items() -> [Item; 2] {
    [(Kind::Entry, 1), (Kind::Removal, 2)].map(|(kind, unit)| Item { hash: 3, unit, units: 4, expires: 5, kind })
}

#[test]
fn golden_bytes_of_records() {
    let headers = [Kind::Entry, Kind::Part, Kind::Removal].map(|kind| hex(&header(kind).encode()));
    let entries = bodies().map(|body| hex(&entry(body).encode()));
    let table = hex(&Table { number: 1, chunks: vec![chunk(2, None), chunk(3, None)] }.encode());
    let segment = hex(&SegmentHeader { life: 1, sequence: 2 }.encode());
    let footer = hex(&footer::encode(1, &items()));
    let all: Vec<String> = headers.into_iter().chain(entries).chain([table, segment, footer]).collect();
    assert_eq!(all.join("\n"), include_str!("golden/records-1.hex").trim());
}

#[test]
fn golden_bytes_of_framed_records() {
    let table = hex(&Table { number: 1, chunks: vec![chunk(2, Some(3)), chunk(4, Some(5))] }.encode());
    let entries = framed_bodies().map(|body| hex(&entry(body).encode()));
    let all: Vec<String> = std::iter::once(hex(&header(Kind::FramedPart).encode())).chain(entries).chain([table]).collect();
    assert_eq!(all.join("\n"), include_str!("golden/framed-1.hex").trim());
}

#[test]
fn chunks_lie_behind_each_other_and_never_beyond_the_payload() {
    use larder_store::SEGMENT;
    let framed = Table { number: 0, chunks: vec![chunk(0, Some(3)), chunk(0, Some(0)), chunk(0, Some(5))] };
    assert_eq!([0, 1, 2, 3].map(|at| framed.range(at, 40)), [Some(32..35), Some(35..35), Some(35..40), None]);
    assert_eq!(framed.range(2, 39), None);
    let plain = Table { number: 0, chunks: vec![chunk(0, None), chunk(0, None)] };
    let length = 16 + SEGMENT + 7;
    assert_eq!([0, 1].map(|at| plain.range(at, length as u32)), [Some(16..16 + SEGMENT), Some(16 + SEGMENT..length)]);
    assert_eq!(plain.range(1, 20), None);
}

#[test]
fn what_was_written_is_read() {
    for kind in [Kind::Entry, Kind::Part, Kind::Removal, Kind::FramedPart] {
        assert_eq!(Header::decode(&header(kind).encode()), Some(header(kind)));
    }
    for body in bodies().into_iter().chain(framed_bodies()) {
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
            let length = Table::length(chunks, false) + (chunks - 1) * SEGMENT + last;
            assert_eq!(Table::chunks(length as u32), Some(chunks), "{chunks} chunks, the last of {last} bytes");
        }
    }
    assert_eq!((Table::chunks(7), Table::chunks(8), Table::chunks(u32::MAX)), (None, None, None));
}
