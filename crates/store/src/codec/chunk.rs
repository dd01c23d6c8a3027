//! One chunk of a body that is too long for one value, proven good by itself.
//!
//! ```text
//! u8  format (1)                    u8  kind: 2 a chunk
//! u64 body length · u32 body's CRC-32 · u32 number of the chunk, from 0      (see [`BodySum::while_arriving`])
//! u8  coding: 0 as it is · 1 zstd   bytes content
//! u32 CRC-32 of all before it
//! ```
//!
//! A chunk is one segment of the body, [`SEGMENT`](crate::SEGMENT) bytes but for the last. It names its body and its number there, so that
//! chunks of two bodies never make up a third one.

use bytes::Bytes;

use super::frame::{Reader, Writer};
use super::{FORMAT, Unreadable, checksum};
use crate::entry::{SEGMENT, StoredBody};

const CHUNK: u8 = 2;

/// The identity of a body: its length in bytes and its CRC-32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodySum {
    /// Bytes.
    pub length: u64,
    pub(super) crc: u32,
}

/// How a chunk's content is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    Identity,
    /// One zstd frame.
    Zstd,
}

impl BodySum {
    /// Of a body.
    pub fn of(body: &StoredBody) -> Self {
        Self { length: body.len(), crc: checksum(body.segments()) }
    }

    /// The identity of a body in the chunks that are written before its length and checksum are known: the number of its fetch stands in. The length is
    /// one that no body has.
    pub fn while_arriving(fetch: u64) -> Self {
        Self { length: u64::MAX, crc: (fetch ^ (fetch >> 32)) as u32 }
    }

    /// How many chunks it has.
    pub fn chunks(&self) -> u64 {
        self.length.div_ceil(SEGMENT as u64)
    }

    /// Bytes of the chunk of this number, before coding; 0 where there is none.
    pub fn chunk_length(&self, number: u32) -> usize {
        let before = u64::from(number).saturating_mul(SEGMENT as u64);
        self.length.saturating_sub(before).min(SEGMENT as u64) as usize
    }
}

/// The frame of a chunk of this body.
pub fn encode_chunk(body: &BodySum, number: u32, coding: Coding, content: &[u8]) -> Vec<u8> {
    let mut out = Writer::new(FORMAT, CHUNK);
    out.u64(body.length);
    out.u32(body.crc);
    out.u32(number);
    out.u8(match coding {
        Coding::Identity => 0,
        Coding::Zstd => 1,
    });
    out.bytes(content);
    out.finish()
}

/// Reads the frame of this chunk of this body: how its content is written, and the content.
pub fn decode_chunk(frame: Bytes, body: &BodySum, number: u32) -> Result<(Coding, Bytes), Unreadable> {
    let mut reader = Reader::new(frame, FORMAT)?;
    if reader.u8()? != CHUNK {
        return Err(Unreadable::Damaged);
    }
    let named = BodySum { length: reader.u64()?, crc: reader.u32()? };
    if (named, reader.u32()?) != (*body, number) {
        return Err(Unreadable::OtherKey);
    }
    let coding = match reader.u8()? {
        0 => Coding::Identity,
        1 => Coding::Zstd,
        _ => return Err(Unreadable::OtherFormat),
    };
    let content = reader.bytes()?;
    reader.end().map(|()| (coding, content))
}

/// Finds the identity of a body from its bytes, one after the other.
#[derive(Clone, Debug, Default)]
pub struct BodySummer {
    length: u64,
    hasher: crc32fast::Hasher,
}

impl BodySummer {
    /// Adds the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.hasher.update(bytes);
    }

    /// Of all that was added.
    pub fn sum(&self) -> BodySum {
        BodySum { length: self.length, crc: self.hasher.clone().finalize() }
    }
}

/// Checks whether bytes that arrive one after the other are a certain body.
#[derive(Debug)]
pub struct BodyProof {
    body: BodySum,
    got: u64,
    hasher: crc32fast::Hasher,
}

impl BodyProof {
    /// For this body.
    pub fn new(body: BodySum) -> Self {
        Self { body, got: 0, hasher: crc32fast::Hasher::new() }
    }

    /// Adds the next bytes. `false`: they are not the body's. Only the last ones prove all of it.
    pub fn add(&mut self, bytes: &[u8]) -> bool {
        self.got += bytes.len() as u64;
        self.hasher.update(bytes);
        self.got < self.body.length || (self.got == self.body.length && self.hasher.clone().finalize() == self.body.crc)
    }

    /// Bytes that came.
    pub fn got(&self) -> u64 {
        self.got
    }

    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.body.length.saturating_sub(self.got)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entry::BodyBuilder;

    fn body(bytes: &[u8]) -> StoredBody {
        let mut builder = BodyBuilder::new(bytes.len() as u64);
        builder.push(bytes);
        builder.finish(None).unwrap()
    }

    /// Bytes that a released version has stored.
    #[test]
    fn golden_bytes_of_chunks() {
        let sum = BodySum { length: SEGMENT as u64 + 5, crc: 0x0102_0304 };
        let frames = [(Coding::Identity, 1), (Coding::Zstd, 0)].map(|(coding, number)| encode_chunk(&sum, number, coding, b"hello"));
        let hex: Vec<String> = frames.iter().map(|frame| frame.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
        assert_eq!(hex.join("\n"), include_str!("golden/chunks-1.hex").trim());
        assert_eq!(decode_chunk(frames[0].clone().into(), &sum, 1), Ok((Coding::Identity, Bytes::from_static(b"hello"))));
    }

    #[test]
    fn any_single_damaged_byte_of_a_chunk_is_noticed_and_no_chunk_stands_for_another() {
        let sum = BodySum::of(&body(b"hello"));
        let frame = encode_chunk(&sum, 0, Coding::Identity, b"hello");
        for at in 0..frame.len() {
            let mut damaged = frame.clone();
            damaged[at] ^= 0x10;
            assert!(decode_chunk(damaged.into(), &sum, 0).is_err(), "byte {at}");
            assert!(decode_chunk(frame[..at].to_vec().into(), &sum, 0).is_err(), "cut off at {at}");
        }
        assert_eq!(decode_chunk(frame.clone().into(), &sum, 1), Err(Unreadable::OtherKey));
        assert_eq!(decode_chunk(frame.into(), &BodySum::of(&body(b"hallo")), 0), Err(Unreadable::OtherKey));
    }

    #[test]
    fn a_body_is_proven_with_its_last_byte_and_by_no_other_bytes() {
        let sum = BodySum::of(&body(b"hello"));
        let of = |pieces: &[&[u8]]| {
            let mut proof = BodyProof::new(sum);
            pieces.iter().map(|piece| proof.add(piece)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[b"he", b"llo"]), [true, true]);
        assert_eq!(of(&[b"ha", b"llo"]), [true, false]);
        assert_eq!(of(&[b"hello", b"x"]), [true, false]);
    }

    #[test]
    fn a_body_that_arrives_has_the_identity_of_the_whole() {
        let mut summer = BodySummer::default();
        [&b"he"[..], b"", b"llo"].iter().for_each(|bytes| summer.add(bytes));
        assert_eq!(summer.sum(), BodySum::of(&body(b"hello")));
        assert_ne!(BodySum::while_arriving(7), BodySum::while_arriving(7 << 32 | 1), "two fetches");
    }

    proptest! {
        #[test]
        fn chunks_cover_a_body_exactly(segments in 0_u64..6, off in -2_i64..=2) {
            let length = (segments * SEGMENT as u64).saturating_add_signed(off);
            let sum = BodySum { length, crc: 0 };
            let lengths: Vec<usize> = (0..sum.chunks() as u32).map(|number| sum.chunk_length(number)).collect();
            prop_assert_eq!(lengths.iter().map(|length| *length as u64).sum::<u64>(), length);
            prop_assert!(lengths.iter().all(|length| (1..=SEGMENT).contains(length)));
            prop_assert!(lengths.iter().rev().skip(1).all(|length| *length == SEGMENT));
            prop_assert_eq!(sum.chunk_length(sum.chunks() as u32), 0);
            let segments = lengths.iter().map(|length| Bytes::from(vec![7; *length])).collect();
            prop_assert_eq!(StoredBody::from_segments(segments, None).map(|body| body.len()), Some(length));
        }

        /// A writer of the store can also write a checksum.
        #[test]
        fn a_hostile_chunk_never_panics(at in 0_usize..40, with in any::<[u8; 4]>(), cut in 0_usize..40) {
            let sum = BodySum::of(&body(b"hello, chunk"));
            let mut frame = encode_chunk(&sum, 0, Coding::Identity, b"hello, chunk");
            let at = at % (frame.len() - 8);
            frame[at..at + 4].copy_from_slice(&with);
            frame.truncate(frame.len() - 4 - cut % 20);
            frame.extend_from_slice(&crc32fast::hash(&frame).to_le_bytes());
            let _ = decode_chunk(frame.into(), &sum, 0);
        }
    }
}
