//! The lines of a shared shape in the form of HTTP/1.1, so that a hit copies most of a head at once.

use http::header::CONTENT_LENGTH;

use super::fields::written_anew;
use super::stored_fields::Line;

/// See the module's page.
#[derive(Debug)]
pub(super) struct ShapeText {
    /// `name: value`, and the end of the line, for each.
    pub(super) bytes: Box<[u8]>,
    /// Where each line ends.
    pub(super) ends: Box<[u32]>,
    /// The empty lines that every answer fills in, a bit for each.
    pub(super) slots: u64,
    /// Whether a length is among them.
    pub(super) tells_length: bool,
}

impl ShapeText {
    /// Of at most 63 lines: no more are shared.
    pub(super) fn of(lines: &[Line]) -> Self {
        let (mut bytes, mut ends, mut slots) = (Vec::new(), Vec::with_capacity(lines.len()), 0);
        for (index, (name, value)) in lines.iter().enumerate() {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                bytes.extend_from_slice(part);
            }
            ends.push(bytes.len() as u32);
            slots |= u64::from(value.is_empty() && written_anew(name)).checked_shl(index as u32).unwrap_or(0);
        }
        let tells_length = lines.iter().any(|(name, _)| *name == CONTENT_LENGTH);
        Self { bytes: bytes.into(), ends: ends.into(), slots, tells_length }
    }
}
