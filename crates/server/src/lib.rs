//! The public listener: sockets, connections with deadlines, and the refusal of requests that must not go further.
//!
//! An accept loop of our own on hyper's HTTP/1.1 and HTTP/2 connections, because the deadlines matter: hyper's are inert without a
//! timer, and waiting for the first bytes, which tell the two protocols apart, has none at all. A connection ends when its head is
//! late, when its bytes cannot be read as HTTP in exactly one way, or when the server drains.

mod accept;
mod connection;
mod cookies;
mod framing;
mod guard;
mod handler;
mod heads;
mod io;
mod linger;
mod listen;
mod options;
mod peer;
mod refusal;
mod sniff;
mod stall;
mod streams;
#[cfg(test)]
mod tests;
mod turn;
mod unsent;
mod writing;

pub use accept::{Drained, Server};
pub use handler::{Handler, OwnAnswer};
pub use linger::{Lingering, lingering};
pub use listen::BindError;
pub use options::ServerOptions;
pub use peer::{OpenConnections, Peer};
