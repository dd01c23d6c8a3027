//! What hyper leaves open for the streams of an HTTP/2 connection.

pub(crate) mod streams;
pub(crate) mod unsent;
