//! Targets of `larder-store`: the form in which responses leave the process.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use larder_semantics::key::{KeyBuffer, KeyRules, Target};
use larder_semantics::{PrimaryKey, Timestamp, VarySpec};
use larder_store::codec::{BodySum, Record, decode, decode_chunk, decode_piece, encode, encode_chunk, encode_piece, encode_selecting};
use larder_store::{Ledger, StoredBody, Variant};

/// Every target of this crate.
pub const TARGETS: &[super::FuzzTarget] = &[("codec", codec)];

/// Bits of the first byte: a frame of a variant, a frame of a chunk, a checksum that is put right, and a frame of a piece.
const VARIANT: u8 = 1;
const CHUNK: u8 = 2;
const SUMMED: u8 = 4;
const PIECE: u8 = 8;

/// The body of the response in the golden frames.
const BODY: &[u8] = b"hello";

fn key() -> PrimaryKey {
    let rules = KeyRules::default();
    let mut buffer = KeyBuffer::default();
    rules.derive(Target { scheme: "http", authority: "a", path: "/x", query: None }, &HeaderMap::new(), &mut buffer);
    buffer.to_key()
}

fn variant() -> Variant {
    let name = HeaderName::from_static("accept-language");
    let request = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("de"))]);
    Variant::of(VarySpec::new(vec![name]), &request)
}

/// A frame of a response, of selecting fields, of a chunk or of a piece. Who can write to the tier behind can write a checksum too, so most of them have
/// a right one. What is read is written as it was.
pub fn codec(data: &[u8]) {
    let Some((&flags, frame)) = data.split_first() else { return };
    let mut frame = frame.to_vec();
    if flags & SUMMED != 0 && frame.len() >= size_of::<u32>() {
        frame.truncate(frame.len() - size_of::<u32>());
        let sum = crc32fast::hash(&frame);
        frame.extend_from_slice(&sum.to_le_bytes());
    }
    let frame = Bytes::from(frame);
    if flags & CHUNK != 0 {
        return chunk(frame);
    }
    if flags & PIECE != 0 {
        return piece(frame);
    }
    let variant = (flags & VARIANT != 0).then(variant);
    match decode(frame.clone(), &key(), variant.as_ref()) {
        Ok(Record::Response(record)) => {
            let Ok(response) = record.complete(vec![Bytes::from_static(BODY)]) else { return };
            assert_eq!(
                (response.fetch, response.body_fetch(), response.position),
                (record.fetch(), record.body_fetch(), record.position())
            );
            assert!(response.weight() >= response.head.headers.block().len());
            let _ = (response.head.age(Timestamp::from_secs(1 << 33)), response.is_valid(&Ledger::default()));
            let written = encode(&response, response.position);
            let Ok(Record::Response(again)) = decode(written.clone().into(), &key(), variant.as_ref()) else { panic!("not read again") };
            let Ok(again) = again.complete(vec![Bytes::from_static(BODY)]) else { panic!("another body") };
            assert_eq!(encode(&again, again.position), written);
        }
        Ok(Record::Selecting(spec)) => {
            let written = encode_selecting(&key(), &spec);
            assert!(matches!(decode(written.into(), &key(), variant.as_ref()), Ok(Record::Selecting(read)) if read == spec));
        }
        Err(_) => {}
    }
}

fn chunk(frame: Bytes) {
    let body = StoredBody::from_segments(vec![Bytes::from_static(BODY)], None).expect("one short segment");
    let sum = BodySum::of(&body);
    if let Ok((coding, content)) = decode_chunk(frame.clone(), &sum, 0) {
        assert_eq!(encode_chunk(&sum, 0, coding, &content), frame);
    }
}

fn piece(frame: Bytes) {
    if let Ok(read) = decode_piece(frame, 0x0102_0304, 0) {
        let written = encode_piece(0x0102_0304, 0, &read);
        assert_eq!(decode_piece(written.into(), 0x0102_0304, 0), Ok(read));
    }
}
