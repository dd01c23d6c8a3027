//! Compression of bodies, where it saves enough.
//!
//! Each chunk is compressed by itself, so it can be read, and its length bounded, without the chunks before it.

use std::io::Read;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use larder_semantics::StoredHead;
use larder_store::codec::Coding;
use larder_store::{SEGMENT, StoredBody};
use zstd::bulk::Compressor;
use zstd::stream::read::Decoder;

/// Maximum window for reading a body, as a power of two. It is that of zstd's highest level, and bounds the memory that a foreign value may ask for.
const MAX_WINDOW_LOG: u32 = 23;

/// Bodies from this length on are compressed on another thread, in bytes.
pub const MIN_OFFLOADED: u64 = 64 << 10;

/// Maximum length of a body in one segment, in bytes.
const MAX_SEGMENT: u64 = SEGMENT as u64;

/// Which bodies are compressed before they are stored, and at which level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Minimum length of a body that is compressed, in bytes.
    pub min: u64,
    /// zstd's level, from 1 to 19.
    pub level: i32,
}

/// A body in its stored form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packed {
    /// One value of at most [`SEGMENT`] bytes, and whether it is compressed.
    One {
        /// The value.
        content: Bytes,
        /// Whether it is.
        compressed: bool,
    },
    /// Chunks: the segments, each compressed or not.
    Chunks(Vec<(Coding, Bytes)>),
}

impl Packed {
    /// As it is.
    pub fn plain(body: &StoredBody) -> Self {
        match body.segments() {
            [] => Self::One { content: Bytes::new(), compressed: false },
            [content] => Self::One { content: content.clone(), compressed: false },
            segments => Self::Chunks(segments.iter().map(|segment| (Coding::Identity, segment.clone())).collect()),
        }
    }

    /// Bytes of the stored form.
    pub fn length(&self) -> u64 {
        match self {
            Self::One { content, .. } => content.len() as u64,
            Self::Chunks(chunks) => chunks.iter().map(|(_, content)| content.len() as u64).sum(),
        }
    }
}

/// Whether compression may save bytes of a body of this length: bodies with a content coding, and media types that are compressed by nature, do not get shorter.
pub fn is_worth_compressing(head: &StoredHead, length: u64, compression: Compression) -> bool {
    let fields = head.headers.to_map();
    let kind = fields.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let packed = ["image/", "audio/", "video/", "font/woff", "application/zip", "application/gzip", "application/zstd"];
    let svg = kind.starts_with("image/svg");
    length >= compression.min && !fields.contains_key(CONTENT_ENCODING) && (svg || !packed.iter().any(|packed| kind.starts_with(packed)))
}

/// Compresses a body segment by segment, if that saves a tenth, so that each segment can be read by itself. The first segment of a long body decides
/// whether the rest is compressed. A body that fits into one value then becomes one value.
pub fn pack(body: &StoredBody, level: i32) -> Packed {
    compressed(body.segments(), level).unwrap_or_else(|| Packed::plain(body))
}

/// As [`pack()`], chunk by chunk in any case.
pub fn pack_chunks(body: &StoredBody, level: i32) -> Vec<(Coding, Bytes)> {
    let segments = body.segments();
    match frames(segments, level) {
        Some(frames) => chosen(segments, frames),
        None => segments.iter().map(|segment| (Coding::Identity, segment.clone())).collect(),
    }
}

fn compressed(segments: &[Bytes], level: i32) -> Option<Packed> {
    let frames = frames(segments, level)?;
    if frames.iter().map(Bytes::len).sum::<usize>() <= SEGMENT {
        return Some(Packed::One { content: frames.concat().into(), compressed: true });
    }
    Some(Packed::Chunks(chosen(segments, frames)))
}

/// Each segment compressed; `None` where the first one does not get shorter.
fn frames(segments: &[Bytes], level: i32) -> Option<Vec<Bytes>> {
    segments.first()?;
    let mut compressor = Compressor::new(level).ok()?;
    let mut frames = Vec::with_capacity(segments.len());
    for segment in segments {
        let frame = Bytes::from(compressor.compress(segment).ok()?);
        if frames.is_empty() && !saves(segment, &frame) {
            return None;
        }
        frames.push(frame);
    }
    Some(frames)
}

/// The shorter form of each segment.
fn chosen(segments: &[Bytes], frames: Vec<Bytes>) -> Vec<(Coding, Bytes)> {
    let chosen = segments.iter().zip(frames).map(|(segment, frame)| match saves(segment, &frame) {
        true => (Coding::Zstd, frame),
        false => (Coding::Identity, segment.clone()),
    });
    chosen.collect()
}

fn saves(segment: &[u8], frame: &[u8]) -> bool {
    frame.len() <= segment.len() - segment.len() / 10
}

/// One segment of a body that is not there as a whole, compressed if that saves a tenth.
pub fn pack_chunk(segment: Bytes, level: i32) -> (Coding, Bytes) {
    match zstd::bulk::compress(&segment, level) {
        Ok(frame) if saves(&segment, &frame) => (Coding::Zstd, frame.into()),
        _ => (Coding::Identity, segment),
    }
}

/// The original segment of a chunk, of exactly `length` bytes; `None` if the stored form yields another length. No more than that is unpacked.
pub fn unpack_chunk(coding: Coding, content: Bytes, length: usize) -> Option<Bytes> {
    let segment = match coding {
        Coding::Identity => content,
        // In one call: the set-up of a streaming decoder costs more than the decompression.
        Coding::Zstd => zstd::bulk::decompress(&content, length).ok()?.into(),
    };
    (segment.len() == length).then_some(segment)
}

/// The original body, of exactly `length` bytes; `None` if the stored form yields another length. No more than that is unpacked.
pub fn unpack(segments: &[Bytes], length: u64) -> Option<Vec<Bytes>> {
    if let ([segment], 1..=MAX_SEGMENT) = (segments, length) {
        return unpack_chunk(Coding::Zstd, segment.clone(), length as usize).map(|segment| vec![segment]);
    }
    let mut decoder = Decoder::with_buffer(std::io::BufReader::new(Chain::new(segments))).ok()?;
    decoder.window_log_max(MAX_WINDOW_LOG).ok()?;
    let segments = read_segments(&mut decoder, length)?;
    (segments.iter().map(|segment| segment.len() as u64).sum::<u64>() == length).then_some(segments)
}

/// Everything that `reader` yields, if it is at most `max` bytes.
fn read_segments(reader: &mut impl Read, max: u64) -> Option<Vec<Bytes>> {
    let (mut segments, mut left) = (Vec::new(), max);
    loop {
        // One byte more than allowed shows that there is too much.
        let room = (left + 1).min(SEGMENT as u64);
        let mut segment = Vec::with_capacity(room as usize);
        reader.take(room).read_to_end(&mut segment).ok()?;
        left = left.checked_sub(segment.len() as u64)?;
        let last = segment.len() < SEGMENT;
        segment.shrink_to_fit();
        if !segment.is_empty() {
            segments.push(Bytes::from(segment));
        }
        if last {
            return Some(segments);
        }
    }
}

/// Reads segments one after the other.
struct Chain<'a> {
    current: &'a [u8],
    rest: std::slice::Iter<'a, Bytes>,
}

impl<'a> Chain<'a> {
    fn new(segments: &'a [Bytes]) -> Self {
        Self { current: &[], rest: segments.iter() }
    }
}

impl Read for Chain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() {
            let Some(next) = self.rest.next() else { return Ok(0) };
            self.current = next;
        }
        self.current.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use larder_store::BodyBuilder;

    use super::*;

    fn body(bytes: &[u8]) -> StoredBody {
        let mut builder = BodyBuilder::new(bytes.len() as u64);
        builder.push(bytes);
        builder.finish(None).unwrap()
    }

    /// Incompressible bytes.
    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n / 7 % 251) as u8).collect()
    }

    /// The body that the reader makes of one value or of chunks, and the number of compressed chunks.
    fn read(packed: &Packed, length: usize) -> (Vec<u8>, usize) {
        match packed {
            Packed::One { content, compressed: true } => (unpack(std::slice::from_ref(content), length as u64).unwrap().concat(), 0),
            Packed::One { content, compressed: false } => (content.to_vec(), 0),
            Packed::Chunks(chunks) => {
                let mut body = Vec::new();
                for (coding, content) in chunks {
                    let expected = SEGMENT.min(length - body.len());
                    body.extend_from_slice(&unpack_chunk(*coding, content.clone(), expected).unwrap());
                }
                (body, chunks.iter().filter(|(coding, _)| *coding == Coding::Zstd).count())
            }
        }
    }

    #[test]
    fn a_compressible_body_is_packed_and_unpacked_unchanged() {
        for length in [2_000, SEGMENT, SEGMENT + 1, 5 * SEGMENT + 3] {
            let packed = pack(&body(&text(length)), 3);
            assert!(matches!(packed, Packed::One { compressed: true, .. }), "{length} bytes fit into one value");
            assert!(packed.length() < length as u64 / 2);
            assert_eq!(read(&packed, length).0, text(length));
        }
        let chunks = pack_chunks(&body(&text(5 * SEGMENT + 3)), 3);
        assert_eq!(chunks.len(), 6, "each is read by itself");
        assert_eq!(read(&Packed::Chunks(chunks), 5 * SEGMENT + 3).0, text(5 * SEGMENT + 3));
        let half = [noise(3 * SEGMENT), vec![0; 4 * SEGMENT]].concat();
        assert_eq!(pack(&body(&half), 3), Packed::plain(&body(&half)), "its first segment did not promise it");
        let half = [vec![0; 4 * SEGMENT], noise(3 * SEGMENT), vec![0; 5]].concat();
        assert_eq!(read(&pack(&body(&half), 3), half.len()), (half, 4));
    }

    #[test]
    fn an_incompressible_body_is_stored_uncompressed() {
        for length in [0, 1, 2_000, SEGMENT, SEGMENT + 1] {
            let bytes = noise(length);
            let packed = pack(&body(&bytes), 3);
            assert_eq!(packed, Packed::plain(&body(&bytes)));
            assert_eq!((read(&packed, length), packed.length()), ((bytes, 0), length as u64));
        }
    }

    #[test]
    fn no_more_is_unpacked_than_announced() {
        let bomb = vec![0; 64 << 20];
        let frame = Bytes::from(zstd::bulk::compress(&bomb, 3).unwrap());
        for announced in [0, 100, (64 << 20) - 1, (64 << 20) + 1] {
            assert_eq!(unpack(std::slice::from_ref(&frame), announced), None, "{announced}");
        }
        for announced in [0, 100, SEGMENT] {
            assert_eq!(unpack_chunk(Coding::Zstd, frame.clone(), announced), None, "{announced}");
            assert_eq!(unpack_chunk(Coding::Identity, frame.clone(), announced), None, "{announced}");
        }
    }

    #[test]
    fn an_unknown_form_is_not_unpacked() {
        let Packed::One { content: bytes, compressed: true } = pack(&body(&[7; 2_000]), 3) else { panic!("shorter") };
        for wrong in [&b""[..], b"rubbish", &bytes[..bytes.len() - 1], &[&bytes[..], b"x"].concat()] {
            assert_eq!(unpack(&[Bytes::copy_from_slice(wrong)], 2_000), None);
        }
        // A window of two gigabytes.
        assert_eq!(unpack(&[Bytes::from_static(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00])], 0), None);
    }

    /// Bytes that an earlier version stored.
    #[test]
    fn golden_form_of_zstd() {
        let golden: Vec<u8> = include_str!("golden/body-zstd.hex")
            .trim()
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        assert_eq!(golden.len(), 29);
        assert_eq!(unpack(&[golden.into()], 1_200).unwrap().concat(), b"hello world ".repeat(100));
    }
}
