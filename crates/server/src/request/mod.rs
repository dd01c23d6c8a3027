//! Judges request heads: which requests go no further, and why.

pub(crate) mod client_certificate;
pub(crate) mod cookies;
pub(crate) mod door;
pub(crate) mod faults;
pub(crate) mod guard;
