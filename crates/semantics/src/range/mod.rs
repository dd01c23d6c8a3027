//! Ranges of complete and of partial stored responses (RFC 9110 §14, RFC 9111 §3.3, §3.4).

mod answer;
mod coverage;
mod multipart;
mod parse;
mod partial;
mod resume;

pub use answer::{Answer, PartialAnswer, answer, answer_ranged, not_satisfiable_fields};
pub use coverage::ByteRangeSet;
pub use multipart::Multipart;
pub use parse::{ByteRange, RangeSet, RangeSpec};
pub use partial::{ContentRange, PartialResponse, PartialUse, range_to_fetch};
pub use resume::Resumption;
