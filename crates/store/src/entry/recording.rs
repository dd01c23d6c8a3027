//! When the pieces of a stream arrived, and how long each of them was, so that it can be given again as it was.
//!
//! ```text
//! for each piece: its length in bytes · milliseconds since the piece before (the first: since the head)    (LEB128 each)
//! ```

use bytes::Bytes;

use crate::weight::shared;

/// Bytes of the longest recording: some 100,000 pieces of a model's answer. What follows is not told from one piece.
const MAX_LENGTH: usize = 256 << 10;

/// The pieces of one stream, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording(Bytes);

/// One piece of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedPiece {
    /// Its length in bytes.
    pub length: u64,
    /// Milliseconds since the piece before; of the first, since the head.
    pub after: u64,
}

impl Recording {
    /// A recording in its stored form. What cannot be read of it is as if it was not there.
    pub(crate) fn of_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Its stored form.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The piece at this place of the recording, and the place of the next; `None` at the end. The first one is at 0.
    pub fn piece(&self, place: usize) -> Option<(RecordedPiece, usize)> {
        let (length, place) = self.number(place)?;
        let (after, place) = self.number(place)?;
        Some((RecordedPiece { length, after }, place))
    }

    fn number(&self, mut place: usize) -> Option<(u64, usize)> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = *self.0.get(place)?;
            place += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some((number, place));
            }
        }
        None
    }

    /// Bytes of memory it holds besides itself.
    pub(super) fn weight(&self) -> usize {
        shared(self.0.len())
    }
}

/// Writes a [`Recording`] while a stream arrives.
#[derive(Debug, Default)]
pub struct Recorder {
    bytes: Vec<u8>,
    pieces: usize,
}

impl Recorder {
    /// The next piece.
    pub fn add(&mut self, piece: RecordedPiece) {
        if self.bytes.len() < MAX_LENGTH {
            self.put(piece.length);
            self.put(piece.after);
            self.pieces += 1;
        }
    }

    fn put(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// The recording; `None` where there was no stream to speak of.
    pub fn finish(self) -> Option<Recording> {
        (self.pieces > 0).then(|| Recording(self.bytes.into_boxed_slice().into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(recording: &Recording) -> Vec<RecordedPiece> {
        std::iter::successors(recording.piece(0), |(_, next)| recording.piece(*next)).map(|(piece, _)| piece).collect()
    }

    #[test]
    fn a_recording_is_bounded() {
        let mut recorder = Recorder::default();
        (0..MAX_LENGTH).for_each(|_| recorder.add(RecordedPiece { length: 1, after: 0 }));
        let recording = recorder.finish().expect("pieces");
        assert_eq!((recording.as_bytes().len(), pieces(&recording).len()), (MAX_LENGTH, MAX_LENGTH / 2));
        assert_eq!(Recorder::default().finish(), None);
    }

    proptest! {
        #[test]
        fn pieces_come_back_as_they_were(all in prop::collection::vec((any::<u64>(), any::<u64>()), 1..20)) {
            let all: Vec<_> = all.into_iter().map(|(length, after)| RecordedPiece { length, after }).collect();
            let mut recorder = Recorder::default();
            all.iter().for_each(|piece| recorder.add(*piece));
            prop_assert_eq!(pieces(&recorder.finish().expect("pieces")), all);
        }

        #[test]
        fn damaged_ones_never_panic_and_end(bytes in prop::collection::vec(any::<u8>(), 0..64), place in 0_usize..80) {
            let recording = Recording::of_bytes(bytes.into());
            prop_assert!(pieces(&recording).len() <= 32);
            let _ = recording.piece(place);
        }
    }
}
