//! The walk of a request between the listener and the cache layer.

mod gateway;
mod request_limit;

pub(crate) use gateway::{Gateway, PublicHandler};
