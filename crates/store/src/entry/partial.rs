//! Stored parts: some bytes of a representation, under a strong entity tag (RFC 9111 §3.3, §3.4).

use std::iter;
use std::ops::Range;

use larder_semantics::range::{ByteRange, ByteRangeSet, PartialResponse};
use larder_semantics::{PrimaryKey, StoredHead};

use super::body::{BodyBuilder, KeptBody, StoredBody};
use super::response::{StoredResponse, Variant};
use super::shapes;
use crate::ledger::{Ledger, Position, Subject, Tags, Validity, tags_weight};
use crate::weight;

/// Pieces kept per representation; the oldest goes first.
const MAX_PIECES: usize = 64;

/// An incomplete response. Never taken for a complete one: it has no body, only pieces that know their offsets.
#[derive(Clone, Debug)]
pub struct StoredPart {
    /// The whole primary key.
    pub key: PrimaryKey,
    /// Which requests it is for; `None` without `Vary`.
    pub variant: Option<Variant>,
    /// The head of the whole, and which bytes are there.
    pub meta: PartialResponse,
    /// In the order of their offsets; none overlap.
    pieces: Vec<Piece>,
    /// The tags that invalidate it.
    pub tags: Tags,
    /// The ledger's position from before its last fetch began.
    pub position: Position,
    /// The number of its last fetch.
    pub fetch: u64,
}

/// The bytes that one fetch brought.
#[derive(Clone, Debug)]
struct Piece {
    first: u64,
    body: KeptBody,
    fetch: u64,
}

impl Piece {
    /// A range may go through many pieces, so that those of one segment are counted as well while slow readers keep them in memory.
    fn new(first: u64, body: StoredBody, fetch: u64) -> Self {
        Self { first, body: KeptBody::new(body.with_address()), fetch }
    }

    fn body(&self) -> &StoredBody {
        self.body.body()
    }

    fn range(&self) -> ByteRange {
        // None is empty.
        ByteRange { first: self.first, last: self.first + self.body().len() - 1 }
    }

    /// A copy of some of its bytes, in segments of their size: a slice would keep the rest in memory.
    fn copy_of(&self, range: ByteRange) -> Option<Self> {
        let mut builder = BodyBuilder::new(range.length());
        let slices = self.body().slice(range.first - self.first, range.last + 1 - self.first);
        slices.iter().for_each(|slice| builder.push(slice));
        Some(Self::new(range.first, builder.finish(None)?, self.fetch))
    }
}

impl StoredPart {
    /// The part that one fetch brought: `body` is the one range that `meta` covers. `None` where it is not, or is empty.
    pub fn new(
        key: PrimaryKey,
        variant: Option<Variant>,
        mut meta: PartialResponse,
        body: StoredBody,
        tags: Tags,
        position: Position,
        fetch: u64,
    ) -> Option<Self> {
        meta.head.headers = shapes::kept(&meta.head.headers, iter::empty());
        let [range] = meta.coverage.ranges() else { return None };
        if body.len() != range.length() {
            return None;
        }
        let pieces = vec![Piece::new(range.first, body, fetch)];
        Some(Self { key, variant, meta, pieces, tags, position, fetch })
    }

    /// This part with its head freshened by a 304 (RFC 9111 §4.3.4). The bytes are shared, not copied.
    pub fn freshened(&self, head: StoredHead, position: Position, fetch: u64) -> Self {
        let mut fresh = self.clone();
        fresh.meta.head = head.with_fields(shapes::kept(&head.headers, iter::empty()));
        (fresh.position, fresh.fetch) = (position, fetch);
        fresh
    }

    /// The stored bodies that the bytes of a range are in, in their order, each with the bytes of it that are; `None` unless all of the range is
    /// there. Each body has an address.
    pub fn bodies(&self, range: ByteRange) -> Option<impl Iterator<Item = (&StoredBody, Range<u64>)>> {
        if !self.meta.coverage.contains(range) {
            return None;
        }
        let touched = self.pieces.iter().filter(move |piece| piece.first <= range.last && range.first <= piece.range().last);
        Some(touched.map(move |piece| {
            let (first, last) = (range.first.max(piece.first), range.last.min(piece.range().last));
            (piece.body(), first - piece.first..last + 1 - piece.first)
        }))
    }

    /// Whether no invalidation concerns it, not even a soft one: some bytes are not worth a refresh of their own.
    pub fn is_valid(&self, ledger: &Ledger) -> bool {
        ledger.check(&Subject { url: self.key.url(), tags: (&self.tags).into() }, self.position) == Validity::Valid
    }

    /// Both together in at most `max` bytes, `newer` being of the later fetch. `None` where they are not of the same representation.
    pub(crate) fn joined(&self, newer: &Self, max: u64) -> Option<Self> {
        let meta = self.meta.join(&newer.meta).filter(|_| self.tags == newer.tags)?;
        let mut joined = Self { meta, ..newer.clone() };
        for piece in &self.pieces {
            for range in uncovered(piece.range(), &newer.meta.coverage) {
                joined.pieces.push(if range == piece.range() { piece.clone() } else { piece.copy_of(range)? });
            }
        }
        joined.bound(max);
        joined.pieces.sort_by_key(|piece| piece.first);
        joined.meta.coverage = ByteRangeSet::default();
        joined.pieces.iter().for_each(|piece| joined.meta.coverage.insert(piece.range()));
        Some(joined)
    }

    /// Drops what was fetched longest ago, until the rest fits.
    fn bound(&mut self, max: u64) {
        let length = |pieces: &[Piece]| pieces.iter().map(|piece| piece.body().len()).sum::<u64>();
        self.pieces.sort_by_key(|piece| std::cmp::Reverse(piece.fetch));
        while self.pieces.len() > 1 && (self.pieces.len() > MAX_PIECES || length(&self.pieces) > max) {
            self.pieces.pop();
        }
    }

    /// The complete response, once every byte is there (RFC 9111 §3.4).
    pub(crate) fn complete(&self) -> Option<StoredResponse> {
        if !self.meta.is_complete() {
            return None;
        }
        let mut builder = BodyBuilder::new(self.meta.complete_length);
        self.pieces.iter().flat_map(|piece| piece.body().segments()).for_each(|segment| builder.push(segment));
        let body = builder.finish(None)?;
        Some(StoredResponse::new(&self.key, self.variant.clone(), &self.meta.head, body, &self.tags, self.position, self.fetch))
    }

    /// Bytes of memory it holds: key, head, pieces, tags.
    pub fn weight(&self) -> usize {
        let variant = self.variant.as_ref().map_or(0, Variant::weight);
        let pieces: usize = self.pieces.iter().map(|piece| size_of::<Piece>() + size_of::<ByteRange>() + piece.body().weight()).sum();
        size_of::<Self>() + self.key.text().len() + variant + weight::head(&self.meta.head) + pieces + tags_weight(&self.tags)
    }
}

/// The parts of `range` that are not in `covered`.
fn uncovered(range: ByteRange, covered: &ByteRangeSet) -> Vec<ByteRange> {
    let mut left = Vec::new();
    let mut rest = Some(range);
    while let Some(missing) = rest.and_then(|rest| covered.missing(rest)) {
        // The missing bytes begin here, and go on as far as the next that are there.
        let next = covered.ranges().iter().find(|known| known.first > missing.first && known.first <= missing.last);
        let last = next.map_or(missing.last, |known| known.first - 1);
        left.push(ByteRange { first: missing.first, last });
        rest = next.map(|known| ByteRange { first: known.first, last: missing.last });
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_ranges_may_be_in_several_places() {
        let mut covered = ByteRangeSet::default();
        for (first, last) in [(10, 19), (30, 39), (100, 109)] {
            covered.insert(ByteRange { first, last });
        }
        let spans = |first, last| -> Vec<(u64, u64)> {
            uncovered(ByteRange { first, last }, &covered).iter().map(|range| (range.first, range.last)).collect()
        };
        assert_eq!(spans(0, 50), [(0, 9), (20, 29), (40, 50)]);
        assert_eq!(spans(15, 35), [(20, 29)]);
        assert_eq!(spans(10, 19), []);
        assert_eq!(spans(50, 60), [(50, 60)]);
    }
}
