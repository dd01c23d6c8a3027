//! From text to tables, and to a report of every mistake at its place. Knows nothing of any section.

mod described;
pub(crate) mod mistake;
pub(crate) mod nearest;
pub(crate) mod reader;
pub(crate) mod report;
mod secrets;
pub(crate) mod source;
pub(crate) mod syntax;
pub(crate) mod units;
pub(crate) mod unknown;
pub(crate) mod written;
