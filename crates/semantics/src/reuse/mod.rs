//! Constructing responses from caches (RFC 9111 §4): whether a stored response may be reused, and how old it is.

pub mod adjusted;
pub mod age;
pub mod ahead;
pub mod decide;
pub mod freshness;
pub(crate) mod set_aside;
pub mod sliding;
pub mod stale;
pub mod told;
