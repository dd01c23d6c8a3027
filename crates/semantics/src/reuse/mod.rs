//! Constructing responses from caches (RFC 9111 §4): whether a stored response may be reused, and how old it is.

pub mod age;
pub mod decide;
pub mod freshness;
pub mod stale;
