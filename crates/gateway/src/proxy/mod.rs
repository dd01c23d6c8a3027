//! The walk of a request between the listener and the cache layer.

mod gateway;
mod handling;
#[cfg(test)]
mod hit_cost;
mod onward;
mod paths;
mod pending;
mod public;
mod renegotiation;
mod request_id;
mod request_limit;
mod session_cookie;
mod shadowing;
mod tracing;
mod way;

pub(crate) use gateway::{Gateway, Service};
pub(crate) use pending::{FAILED, NOT_STORED};
pub(crate) use public::PublicHandler;
pub(crate) use renegotiation::Renegotiation;
pub(crate) use request_id::RequestIds;
pub(crate) use session_cookie::SESSION_COOKIE;
pub(crate) use way::{Step, for_the_cache, way};
