//! From bound listeners to answered requests, and to the end of the server.

pub(crate) mod accept;
pub(crate) mod drive;
pub(crate) mod open;
pub(crate) mod permits;
pub(crate) mod protocols;
pub(crate) mod respond;
pub(crate) mod server;
