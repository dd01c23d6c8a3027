//! The file `forgotten`: what no later process may use, because it was invalidated and nothing else remembers it.
//!
//! ```text
//! u32 "LDRM" · u8 format (1) · u8 0 · u16 count · u64 sequence: all segments up to it are forgotten
//! u64 epoch · u64 number, each: all responses of this epoch up to this number are
//! u32 CRC-32 of all before it
//! ```

use larder_store::{Epoch, LogPosition};

use crate::record::reader::Reader;

/// Its name.
pub(super) const FILE: &str = "forgotten";

const MAGIC: u32 = u32::from_le_bytes(*b"LDRM");
const FORMAT: u8 = 1;

/// Epochs that are remembered one by one. A log gets a new one only where it was lost.
const MAX_EPOCHS: usize = 64;

/// See the module's page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Segments up to this sequence are forgotten.
    pub(super) sequence: u64,
    positions: Vec<LogPosition>,
}

impl Marks {
    /// Everything of this epoch up to this number is forgotten. `false`: there are too many epochs to remember one more.
    pub(super) fn forget(&mut self, up_to: LogPosition) -> bool {
        if let Some(known) = self.positions.iter_mut().find(|known| known.epoch == up_to.epoch) {
            known.number = known.number.max(up_to.number);
            return true;
        }
        let has_room = self.positions.len() < MAX_EPOCHS;
        if has_room {
            self.positions.push(up_to);
        }
        has_room
    }

    /// Everything in segments up to this sequence is. Positions stay: what was fetched before one of them may still be written, behind these segments.
    pub(super) fn forget_all(&mut self, sequence: u64) {
        self.forget_segments(sequence);
        if self.positions.len() >= MAX_EPOCHS {
            self.positions.clear();
        }
    }

    /// Segments up to this sequence are, and those behind it are not.
    pub(super) fn forget_segments(&mut self, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
    }

    /// Whether a response from this position must not be used.
    pub(super) fn cover(&self, position: LogPosition) -> bool {
        self.positions.iter().any(|known| known.epoch == position.epoch && position.number <= known.number)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[FORMAT, 0]);
        out.extend_from_slice(&(self.positions.len() as u16).to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        for position in &self.positions {
            out.extend_from_slice(&position.epoch.to_bits().to_le_bytes());
            out.extend_from_slice(&position.number.to_le_bytes());
        }
        let sum = crc32fast::hash(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// `None`: it is damaged, and may have said anything.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::proven(bytes)?;
        if reader.u32()? != MAGIC || reader.u8()? != FORMAT {
            return None;
        }
        let _reserved = reader.u8()?;
        let (count, sequence) = (reader.u16()?, reader.u64()?);
        let position = |reader: &mut Reader<'_>| Some(LogPosition { epoch: Epoch::from_bits(reader.u64()?)?, number: reader.u64()? });
        let positions = (0..count).map(|_| position(&mut reader)).collect::<Option<_>>()?;
        reader.is_empty().then_some(Self { sequence, positions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: &str, number: u64) -> LogPosition {
        LogPosition { epoch: Epoch::of(epoch), number }
    }

    #[test]
    fn a_mark_covers_its_epoch_up_to_its_number_and_outlives_its_process() {
        let mut marks = Marks::default();
        assert!(marks.forget(at("one", 7)) && marks.forget(at("one", 3)) && marks.forget(at("two", 1)));
        let marks = Marks::decode(&marks.encode()).expect("as it was written");
        assert!(marks.cover(at("one", 7)) && !marks.cover(at("one", 8)) && !marks.cover(at("two", 2)) && !marks.cover(at("three", 0)));
    }

    #[test]
    fn golden_bytes_of_the_marks() {
        let mut marks = Marks::default();
        marks.forget_all(5);
        marks.forget(at("one", 7));
        let hex: String = marks.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "4c44524d010001000500000000000000a0e11f32a7ab1f910700000000000000857a2a4e");
        assert_eq!(Marks::decode(&marks.encode()), Some(marks));
    }

    #[test]
    fn forgetting_everything_forgets_no_mark_of_what_is_still_to_be_written() {
        let mut marks = Marks::default();
        marks.forget(at("one", 7));
        marks.forget_all(5);
        assert!(marks.cover(at("one", 7)));
        (1..MAX_EPOCHS).for_each(|epoch| assert!(marks.forget(at(&epoch.to_string(), 1))));
        marks.forget_all(6);
        assert!(!marks.cover(at("one", 7)) && marks.forget(at("one more", 1)), "where there is no room for more");
    }

    #[test]
    fn a_damaged_file_of_marks_is_noticed() {
        let mut marks = Marks::default();
        marks.forget_all(5);
        marks.forget(at("one", 7));
        let bytes = marks.encode();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Marks::decode(&damaged), None, "byte {at}");
        }
    }

    #[test]
    fn epochs_beyond_their_number_are_not_taken() {
        let mut marks = Marks::default();
        assert!((0..MAX_EPOCHS).all(|epoch| marks.forget(at(&epoch.to_string(), 1))));
        assert!(!marks.forget(at("one more", 1)) && marks.forget(at("0", 2)));
    }
}
