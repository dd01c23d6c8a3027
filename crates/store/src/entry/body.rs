//! Stored bodies: copied once, at completion, into segments of exact size.
//!
//! Keeping the frames as they came would pin the connection's read buffers: a 200-byte body would hold 8 KiB, and every memory
//! limit would be wrong.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::recording::Recording;
use crate::weight::{allocated, shared};

/// The longest segment, in bytes: what a socket takes in a few writes, and small enough to be shared, sliced and dropped piecemeal.
pub const SEGMENT: usize = 256 * 1024;

/// A complete body (RFC 9111 §3.3), with its trailers.
#[derive(Clone, Debug, Default)]
pub struct StoredBody {
    segments: Segments,
    len: u64,
    rare: Option<Arc<Rare>>,
}

/// Parts that few bodies have.
#[derive(Clone, Debug, Default)]
struct Rare {
    trailers: Option<HeaderMap>,
    recording: Option<Recording>,
}

fn with_trailers(trailers: Option<HeaderMap>) -> Option<Arc<Rare>> {
    trailers.map(|trailers| Arc::new(Rare { trailers: Some(trailers), recording: None }))
}

#[derive(Clone, Debug, Default)]
enum Segments {
    #[default]
    None,
    One(Bytes),
    Many(Arc<Many>),
}

#[derive(Debug)]
struct Many {
    segments: Box<[Bytes]>,
    /// How many stored responses have it.
    kept: AtomicUsize,
}

impl From<Vec<Bytes>> for Segments {
    fn from(mut segments: Vec<Bytes>) -> Self {
        match segments.len() {
            0 => Self::None,
            1 => Self::One(segments.remove(0)),
            _ => Self::Many(Arc::new(Many { segments: segments.into(), kept: AtomicUsize::new(0) })),
        }
    }
}

impl StoredBody {
    /// A body of segments that are already what a body is made of: [`SEGMENT`] bytes each, the last one shorter. `None` otherwise.
    pub fn from_segments(segments: Vec<Bytes>, trailers: Option<HeaderMap>) -> Option<Self> {
        let (last, full) = match segments.split_last() {
            Some((last, full)) => (last.len(), full),
            None => (1, &[][..]),
        };
        if last == 0 || last > SEGMENT || full.iter().any(|segment| segment.len() != SEGMENT) {
            return None;
        }
        let len = segments.iter().map(|segment| segment.len() as u64).sum();
        Some(Self { segments: Segments::from(segments), len, rare: with_trailers(trailers) })
    }

    /// A body of at most one segment.
    pub(crate) fn short(bytes: Bytes) -> Self {
        let len = bytes.len() as u64;
        Self { segments: if bytes.is_empty() { Segments::None } else { Segments::One(bytes) }, len, rare: None }
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The segments in order; none is empty.
    pub fn segments(&self) -> &[Bytes] {
        match &self.segments {
            Segments::None => &[],
            Segments::One(segment) => std::slice::from_ref(segment),
            Segments::Many(many) => &many.segments,
        }
    }

    /// The trailer fields, if there were any (RFC 9110 §6.5).
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.rare.as_ref()?.trailers.as_ref()
    }

    /// How it arrived, where it is a stream that was recorded.
    pub fn recording(&self) -> Option<&Recording> {
        self.rare.as_ref()?.recording.as_ref()
    }

    /// The same with this recording of how it arrived.
    #[must_use]
    pub fn with_recording(self, recording: Option<Recording>) -> Self {
        if recording.is_none() && self.recording().is_none() {
            return self;
        }
        let rare = Rare { trailers: self.trailers().cloned(), recording };
        Self { rare: Some(Arc::new(rare)), ..self }
    }

    /// Whether it is its bytes and nothing else.
    pub(super) fn is_plain(&self) -> bool {
        self.rare.is_none()
    }

    /// The bytes `start..end` as slices of the segments, without copying. Bounds past the end are cut off.
    pub fn slice(&self, start: u64, end: u64) -> Vec<Bytes> {
        self.pieces(start, end).map(|(segment, piece)| segment.slice(piece)).collect()
    }

    /// A copy of the bytes `start..end`, which keeps nothing of this body in memory. Bounds past the end are cut off.
    pub fn copied(&self, start: u64, end: u64) -> Bytes {
        let mut copy = BytesMut::with_capacity(end.min(self.len).saturating_sub(start) as usize);
        self.pieces(start, end).for_each(|(segment, piece)| copy.extend_from_slice(&segment[piece]));
        copy.freeze()
    }

    /// The segments that the bytes `start..end` are in, each with those that are.
    fn pieces(&self, start: u64, end: u64) -> impl Iterator<Item = (&Bytes, Range<usize>)> {
        let (end, mut next) = (end.min(self.len), 0);
        self.segments().iter().filter_map(move |segment| {
            let offset = next;
            next += segment.len() as u64;
            let (from, to) = (start.max(offset), end.min(next));
            (from < to).then(|| (segment, (from - offset) as usize..(to - offset) as usize))
        })
    }

    /// The same with an address, also where it is a single segment.
    #[must_use]
    pub(super) fn with_address(self) -> Self {
        let segments = match self.segments {
            Segments::One(segment) => Segments::Many(Arc::new(Many { segments: [segment].into(), kept: AtomicUsize::new(0) })),
            segments => segments,
        };
        Self { segments, ..self }
    }

    /// Its address, if it has more than one segment: then slow readers keep it in memory for long. Clones have the same address.
    pub fn address(&self) -> Option<usize> {
        match &self.segments {
            Segments::Many(many) => Some(Arc::as_ptr(many) as usize),
            Segments::None | Segments::One(_) => None,
        }
    }

    /// Whether a stored response has it, as far as it has an address. Otherwise only its readers keep it in memory.
    pub fn is_kept(&self) -> bool {
        match &self.segments {
            Segments::Many(many) => many.kept.load(Ordering::Relaxed) > 0,
            Segments::None | Segments::One(_) => true,
        }
    }

    /// The bytes from `start` to the end of its segment, without copying. `None` at the end.
    pub fn rest_of_segment(&self, start: u64) -> Option<Bytes> {
        let (index, within) = (start / SEGMENT as u64, (start % SEGMENT as u64) as usize);
        let segment = self.segments().get(usize::try_from(index).ok()?)?;
        (within < segment.len()).then(|| segment.slice(within..))
    }

    /// Bytes of memory it holds besides itself.
    pub fn weight(&self) -> usize {
        /// How many share it.
        const COUNTS: usize = 2 * size_of::<usize>();
        let table = match &self.segments {
            Segments::Many(many) => allocated(COUNTS + size_of::<Many>()) + allocated(many.segments.len() * size_of::<Bytes>()),
            _ => 0,
        };
        let bytes: usize = self.segments().iter().map(|segment| shared(segment.len())).sum();
        let trailers = self.trailers().map_or(0, |map| map.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum());
        bytes + table + trailers + self.recording().map_or(0, Recording::weight)
    }
}

/// A body that a stored response has.
#[derive(Debug)]
pub(crate) struct KeptBody(StoredBody);

impl KeptBody {
    pub(crate) fn new(body: StoredBody) -> Self {
        if let Segments::Many(many) = &body.segments {
            many.kept.fetch_add(1, Ordering::Relaxed);
        }
        Self(body)
    }

    pub(crate) fn body(&self) -> &StoredBody {
        &self.0
    }
}

impl Clone for KeptBody {
    fn clone(&self) -> Self {
        Self::new(self.0.clone())
    }
}

impl Drop for KeptBody {
    fn drop(&mut self) {
        if let Segments::Many(many) = &self.0.segments {
            many.kept.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Builds a [`StoredBody`] of a known length from frames of any size.
#[derive(Debug)]
pub struct BodyBuilder {
    done: Vec<Bytes>,
    open: BytesMut,
    left: u64,
    len: u64,
}

impl BodyBuilder {
    /// For a body of exactly `len` bytes.
    pub fn new(len: u64) -> Self {
        let mut builder = Self { done: Vec::new(), open: BytesMut::new(), left: len, len };
        builder.open_segment();
        builder
    }

    fn open_segment(&mut self) {
        self.open = BytesMut::with_capacity(self.left.min(SEGMENT as u64) as usize);
    }

    /// Copies a frame.
    pub fn push(&mut self, mut frame: &[u8]) {
        while !frame.is_empty() && self.left > 0 {
            let room = self.left.min((SEGMENT - self.open.len()) as u64) as usize;
            let (now, later) = frame.split_at(room.min(frame.len()));
            self.open.extend_from_slice(now);
            self.left -= now.len() as u64;
            frame = later;
            if self.open.len() == SEGMENT && self.left > 0 {
                let full = std::mem::take(&mut self.open);
                self.done.push(full.freeze());
                self.open_segment();
            }
        }
    }

    /// The body; `None` if fewer bytes came than were announced.
    pub fn finish(mut self, trailers: Option<HeaderMap>) -> Option<StoredBody> {
        if self.left > 0 {
            return None;
        }
        let last = self.open.freeze();
        let body = if self.done.is_empty() {
            StoredBody::short(last)
        } else {
            self.done.push(last);
            StoredBody { segments: Segments::from(self.done), len: self.len, rare: None }
        };
        Some(StoredBody { rare: with_trailers(trailers), ..body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(len: usize, frame: usize) -> StoredBody {
        let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let mut builder = BodyBuilder::new(len as u64);
        bytes.chunks(frame).for_each(|chunk| builder.push(chunk));
        builder.finish(None).expect("complete")
    }

    #[test]
    fn a_body_is_copied_into_segments_of_exact_size() {
        for (len, sizes) in [
            (0, vec![]),
            (1, vec![1]),
            (SEGMENT, vec![SEGMENT]),
            (SEGMENT + 1, vec![SEGMENT, 1]),
            (2 * SEGMENT + 7, vec![SEGMENT, SEGMENT, 7]),
        ] {
            let body = body(len, 1000);
            assert_eq!(body.segments().iter().map(Bytes::len).collect::<Vec<_>>(), sizes, "{len}");
            let whole: Vec<u8> = body.segments().concat();
            assert!(whole.iter().enumerate().all(|(i, byte)| *byte == (i % 251) as u8), "{len}");
        }
    }

    #[test]
    fn segments_that_are_not_what_a_body_is_made_of_are_refused() {
        let of = |sizes: &[usize]| StoredBody::from_segments(sizes.iter().map(|size| Bytes::from(vec![7; *size])).collect(), None);
        assert_eq!(of(&[]).map(|body| body.len()), Some(0));
        assert_eq!(of(&[SEGMENT, 3]).map(|body| body.len()), Some(SEGMENT as u64 + 3));
        for wrong in [&[0][..], &[SEGMENT + 1], &[3, SEGMENT], &[SEGMENT, 0]] {
            assert!(of(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn a_short_body_is_never_complete() {
        let mut builder = BodyBuilder::new(5);
        builder.push(b"1234");
        assert!(builder.finish(None).is_none());
    }

    #[test]
    fn a_body_is_read_on_from_any_place() {
        for len in [0, 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT] {
            let body = body(len, 4096);
            let whole = body.segments().concat();
            for start in [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1] {
                let mut rest = Vec::new();
                while let Some(piece) = body.rest_of_segment((start + rest.len()) as u64) {
                    rest.extend_from_slice(&piece);
                }
                assert_eq!(rest, whole.get(start..).unwrap_or_default(), "{len} from {start}");
            }
        }
    }

    #[test]
    fn a_part_is_the_same_in_slices_and_as_a_copy() {
        let body = body(2 * SEGMENT + 7, 4096);
        let whole = body.segments().concat();
        let (segment, len) = (SEGMENT as u64, body.len());
        for (start, end) in [(0, 3), (segment - 2, segment + 2), (segment, 2 * segment), (1, len), (len - 1, len + 9), (len, len)] {
            let wanted = &whole[start as usize..end.min(len) as usize];
            assert_eq!(body.slice(start, end).concat(), wanted, "{start}..{end}");
            assert_eq!(body.copied(start, end), wanted, "{start}..{end}");
        }
    }

    #[test]
    fn a_body_is_kept_for_as_long_as_a_stored_response_has_it() {
        let body = body(SEGMENT + 1, 4096);
        assert!(!body.is_kept());
        let kept = KeptBody::new(body.clone());
        let also = kept.clone();
        drop(kept);
        assert!(body.is_kept());
        drop(also);
        assert!(!body.is_kept());
    }

    #[test]
    fn a_slice_crosses_segments_without_copying() {
        let body = body(2 * SEGMENT, 4096);
        let (start, end) = (SEGMENT as u64 - 3, SEGMENT as u64 + 2);
        let slices = body.slice(start, end);
        assert_eq!(slices.iter().map(Bytes::len).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(slices[0].as_ptr(), body.segments()[0][SEGMENT - 3..].as_ptr());
        assert_eq!(body.slice(0, u64::MAX).len(), 2);
        assert!(body.slice(5, 5).is_empty());
    }
}
