//! Bodies in fewer bytes, where that is worth it.
//!
//! An entry says beside its body how that is stored: nothing for "as it is", or `zstd LENGTH`, the bytes of the stored form. That is a
//! matter of the body alone, so a 304, which renews the head alone, need not know it.

use std::io::Read;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use larder_semantics::StoredHead;
use larder_store::{SEGMENT, StoredBody};
use zstd::stream::read::{Decoder, Encoder};

/// The largest window that a body may want to be read with, as a power of two: what the highest level makes, and a bound for what others do.
const WINDOW_LOG: u32 = 23;

/// From this length on the work is left to another thread.
pub(crate) const ASIDE: u64 = 64 << 10;

/// The longest body of one segment.
const SMALL: u64 = SEGMENT as u64;

/// Which bodies are compressed before they are stored, and how hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Bytes of the shortest body that is.
    pub min: u64,
    /// zstd's level, from 1 to 19.
    pub level: i32,
}

/// The stored form of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    /// What stands beside it.
    pub(crate) note: Option<Note>,
    /// Its bytes, in segments of [`SEGMENT`] and a shorter last one.
    pub(crate) segments: Vec<Bytes>,
}

/// How a body is stored that is not stored as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Bytes of the stored form.
    pub(crate) length: u64,
}

impl Note {
    pub(crate) fn to_text(self) -> String {
        format!("zstd {}", self.length)
    }

    /// `None`: it says nothing that is known here.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let length = std::str::from_utf8(text).ok()?.strip_prefix("zstd ")?.parse().ok()?;
        Some(Self { length })
    }
}

impl Packed {
    pub(crate) fn plain(body: &StoredBody) -> Self {
        Self { note: None, segments: body.segments().to_vec() }
    }
}

/// Whether it is worth a try: bodies that are coded already, or of kinds that always are, do not get shorter.
pub(crate) fn promises(head: &StoredHead, body: &StoredBody, compression: Compression) -> bool {
    let fields = head.headers.to_map();
    let kind = fields.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let packed = ["image/", "audio/", "video/", "font/woff", "application/zip", "application/gzip", "application/zstd"];
    let svg = kind.starts_with("image/svg");
    body.len() >= compression.min
        && !fields.contains_key(CONTENT_ENCODING)
        && (svg || !packed.iter().any(|packed| kind.starts_with(packed)))
}

/// The body compressed, if that saves a tenth. Of a long body the first segment shows whether to go on.
pub(crate) fn pack(body: &StoredBody, level: i32) -> Packed {
    if body.segments().len() > 1 && compressed(&body.segments()[..1], SEGMENT as u64, level).is_none() {
        return Packed::plain(body);
    }
    compressed(body.segments(), body.len(), level).unwrap_or_else(|| Packed::plain(body))
}

fn compressed(segments: &[Bytes], length: u64, level: i32) -> Option<Packed> {
    let most = length - length / 10;
    let mut encoder = Encoder::new(Chain::new(segments), level).ok()?;
    let segments = read_segments(&mut encoder, most)?;
    let length = segments.iter().map(|segment| segment.len() as u64).sum();
    Some(Packed { note: Some(Note { length }), segments })
}

/// The body as it was, of exactly `length` bytes; `None` where the stored form does not lead there. Never more is made than that.
pub(crate) fn unpack(segments: &[Bytes], length: u64) -> Option<Vec<Bytes>> {
    if let ([segment], 1..=SMALL) = (segments, length) {
        // At once into its place: a decoder that streams costs more than the work itself.
        let body = zstd::bulk::decompress(segment, length as usize).ok()?;
        return (body.len() as u64 == length).then(|| vec![Bytes::from(body)]);
    }
    let mut decoder = Decoder::with_buffer(std::io::BufReader::new(Chain::new(segments))).ok()?;
    decoder.window_log_max(WINDOW_LOG).ok()?;
    let segments = read_segments(&mut decoder, length)?;
    (segments.iter().map(|segment| segment.len() as u64).sum::<u64>() == length).then_some(segments)
}

/// All that `reader` has, if that is no more than `most`.
fn read_segments(reader: &mut impl Read, most: u64) -> Option<Vec<Bytes>> {
    let (mut segments, mut left) = (Vec::new(), most);
    loop {
        // One byte beyond what may come shows that more would.
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

/// Segments, read one after the other.
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

    /// What no compressor makes shorter.
    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn a_body_that_gets_shorter_is_packed_and_comes_back_as_it_was() {
        for length in [2_000, SEGMENT, SEGMENT + 1, 5 * SEGMENT + 3] {
            let text: Vec<u8> = (0..length).map(|n| (n / 7 % 251) as u8).collect();
            let packed = pack(&body(&text), 3);
            let note = packed.note.expect("shorter");
            assert!(note.length < length as u64 / 2);
            assert_eq!(unpack(&packed.segments, length as u64).unwrap().concat(), text);
        }
        let half = [noise(3 * SEGMENT), vec![0; 4 * SEGMENT]].concat();
        assert_eq!(pack(&body(&half), 3).note, None, "its first segment did not promise it");
        let half = [vec![0; 4 * SEGMENT], noise(3 * SEGMENT)].concat();
        let packed = pack(&body(&half), 3);
        assert!(packed.segments.len() > 3 && packed.segments.iter().rev().skip(1).all(|segment| segment.len() == SEGMENT));
        assert_eq!(unpack(&packed.segments, half.len() as u64).unwrap().concat(), half);
    }

    #[test]
    fn a_body_that_does_not_is_stored_as_it_is() {
        for length in [0, 1, 2_000, SEGMENT + 1] {
            let bytes = noise(length);
            let packed = pack(&body(&bytes), 3);
            assert_eq!((packed.note, packed.segments.concat()), (None, bytes));
        }
    }

    #[test]
    fn no_more_is_unpacked_than_was_announced() {
        let packed = pack(&body(&vec![0; 64 << 20]), 3);
        assert!(packed.segments.concat().len() < 10_000, "a bomb");
        for announced in [0, 100, (64 << 20) - 1, (64 << 20) + 1] {
            assert_eq!(unpack(&packed.segments, announced), None, "{announced}");
        }
    }

    #[test]
    fn what_is_no_stored_form_is_none() {
        let packed = pack(&body(&[7; 2_000]), 3);
        let bytes = packed.segments.concat();
        for wrong in [&b""[..], b"rubbish", &bytes[..bytes.len() - 1], &[&bytes[..], b"x"].concat()] {
            assert_eq!(unpack(&[Bytes::copy_from_slice(wrong)], 2_000), None);
        }
        // A window of two gigabytes.
        assert_eq!(unpack(&[Bytes::from_static(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00])], 0), None);
    }

    /// Bytes that a released version has stored.
    #[test]
    fn golden_form_of_zstd() {
        let golden: Vec<u8> = include_str!("golden/body-zstd.hex")
            .trim()
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        let note = Note::parse(b"zstd 29").unwrap();
        assert_eq!((note.length, note.to_text().as_str()), (golden.len() as u64, "zstd 29"));
        assert_eq!(unpack(&[golden.into()], 1_200).unwrap().concat(), b"hello world ".repeat(100));
        assert_eq!(Note::parse(b"br 28"), None);
    }
}
