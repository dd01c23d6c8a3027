//! The state of one client connection, whatever its protocol.

pub(crate) mod activity;
pub(crate) mod handler;
pub(crate) mod handshakes;
pub(crate) mod hsts;
pub(crate) mod linger;
pub(crate) mod misuse;
pub(crate) mod open;
pub(crate) mod peer;
pub(crate) mod sniff;
pub(crate) mod stall;
