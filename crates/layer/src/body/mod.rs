//! Bodies: what a client reads, and what arrives while several read it.

pub(crate) mod aside;
mod cache_body;
pub(crate) mod collected;
pub(crate) mod content;
pub(crate) mod log;
pub(crate) mod offered;
pub(crate) mod pending;
pub(crate) mod pieces;
mod replay;
pub(crate) mod request;
pub(crate) mod rpc_id;
pub(crate) mod tape;

pub use cache_body::CacheBody;
