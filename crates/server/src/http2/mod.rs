//! HTTP/2: deadlines and limits that hyper does not have for the streams of a connection, and hits answered before hyper.

pub(crate) mod cork;
pub(crate) mod frames;
pub(crate) mod front;
pub(crate) mod hpack;
pub(crate) mod kept_back;
pub(crate) mod limits;
pub(crate) mod socket;
pub(crate) mod streams;
pub(crate) mod unsent;
