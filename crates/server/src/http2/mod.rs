//! HTTP/2: deadlines and limits that hyper does not have for the streams of a connection.

pub(crate) mod cork;
pub(crate) mod kept_back;
pub(crate) mod limits;
pub(crate) mod streams;
pub(crate) mod unsent;
