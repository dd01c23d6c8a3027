//! Directories that are used together: which of them may be used as they were left, and which has a key.
//!
//! 1. [`plan`] decides both, without any file;
//! 2. [`round`] brings the threads together that open them.

pub(crate) mod plan;
pub(crate) mod round;
