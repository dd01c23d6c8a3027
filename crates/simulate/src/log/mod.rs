//! Logs: lines of many formats, as records in the order of time.
//!
//! 1. `input`: bytes, unpacked, as lines of bounded length.
//! 2. `format`: which of the readers a line is for: `pattern`, `json`, `fixed`.
//! 3. `facts`: what the fields of a line come to.
//! 4. `source`: the records of one log; `merged`: those of all logs, in order.

mod facts;
mod fixed;
mod format;
mod input;
mod json;
mod merged;
mod pattern;
mod record;
mod source;
mod time;

pub use format::{LogFormat, NAMES};
pub use input::Progress;
pub use merged::Logs;
pub use pattern::PatternError;
pub use record::LogRecord;
pub use source::{BrokenLine, LineCounts, LogError};
