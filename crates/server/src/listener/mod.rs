//! Listening sockets.

pub(crate) mod bind;
