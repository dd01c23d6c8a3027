//! Sockets: those that are listened on, and those of clients. No kind of socket is named outside this folder.

pub(crate) mod bind;
pub(crate) mod socket;
