//! Bodies: what a client reads, and what arrives while several read it.

mod cache_body;
pub(crate) mod content;
pub(crate) mod log;
pub(crate) mod offered;
pub(crate) mod pending;
pub(crate) mod request;

pub use cache_body::CacheBody;
