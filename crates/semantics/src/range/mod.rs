//! Ranges of a stored response (RFC 9110 §14).

mod answer;
mod multipart;
mod parse;

pub use answer::{PartialAnswer, answer, not_satisfiable_fields};
pub use multipart::Multipart;
pub use parse::{ByteRange, RangeSet, RangeSpec};
