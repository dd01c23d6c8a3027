//! The walk of a request between the listener and the cache layer.

mod gateway;
mod hints;
mod request_limit;

pub(crate) use gateway::{Gateway, PublicHandler};
pub(crate) use hints::Hints;
