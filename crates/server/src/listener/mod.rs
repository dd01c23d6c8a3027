//! Sockets: those that are listened on, and those of clients, under TLS or not. No kind of socket is named outside this folder.

pub(crate) mod bind;
pub(crate) mod handshake;
pub(crate) mod incoming;
pub(crate) mod proxy_header;
pub(crate) mod setup;
pub(crate) mod socket;
pub(crate) mod transport;
pub(crate) mod unix;
