//! Judges request heads: which requests go no further, and why.

pub(crate) mod cookies;
pub(crate) mod faults;
pub(crate) mod guard;
pub(crate) mod misdirected;
