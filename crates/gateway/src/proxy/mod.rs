//! The walk of a request between the listener and the cache layer.

mod gateway;
mod handling;
mod paths;
mod request_limit;

pub(crate) use gateway::{Gateway, PublicHandler};
