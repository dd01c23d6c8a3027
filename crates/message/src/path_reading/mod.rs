//! Readings of paths, by this gateway and by origins.
//!
//! A path goes up byte for byte, and origins do not agree on what its bytes mean: some decode `%2f` before they part segments, some resolve
//! `..`, some take `//` for `/` or `\` for `/`. A path with more than one reading is odd: no response under it is stored, and rules that protect
//! by path look at all readings.
//!
//! `escapes` replaces what stands percent-encoded, `segments` judges and drops segments, and `readings` puts both together.

mod escapes;
mod readings;
mod segments;

pub use escapes::decoded;
pub use readings::{climbs, is_odd, lenient_readings, normal, readings, simplified, simplified_part};
