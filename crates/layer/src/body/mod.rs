//! Bodies: what a client reads, and what arrives while several read it.

mod cache_body;
pub(crate) mod content;
pub(crate) mod log;
pub(crate) mod offered;
pub(crate) mod pending;
pub(crate) mod request;
pub(crate) mod rpc_id;

pub use cache_body::CacheBody;
