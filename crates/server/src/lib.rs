//! Listeners and connections: sockets, connections with deadlines, and the refusal of requests that must not go further.
//!
//! An accept loop of our own on hyper's HTTP/1.1 and HTTP/2 connections, because the deadlines matter: hyper's are inert without a
//! timer, and waiting for the first bytes, which tell the two protocols apart, has none at all. A connection ends when its head is
//! late, when its bytes cannot be read as HTTP in exactly one way, or when the server drains.
//!
//! ```text
//! listener::incoming --> serve::accept --> serve::open --> connection::sniff --> http1::stream --> http1::plain --> Handler::answer_plain
//!                                              |                |                    |
//!                                              v                |                    v
//!                                     listener::handshake       |                  hyper --> serve::respond --> request::guard --> Handler::handle
//!                                                               v                    ^
//!                                                         http2::streams ------------+
//! ```
//!
//! Imports go one way: `serve` uses `http1` and `http2`; those use `connection`; that uses `request` and `listener`.

mod connection;
#[doc(hidden)]
pub mod fuzzing;
mod http1;
mod http2;
mod listener;
mod request;
mod serve;
#[cfg(test)]
mod tests;

pub use connection::handler::{Handler, LocalReply, PlainAnswer};
pub use connection::handshakes::Handshakes;
pub use connection::linger::{Lingering, lingering};
pub use connection::open::OpenConnections;
pub use connection::peer::Peer;
pub use http2::limits::Http2Limits;
pub use larder_config::ServerOptions;
pub use listener::bind::BindError;
pub use listener::setup::{ListenerSetup, TlsChallenges};
pub use serve::server::{Drained, ListeningSocket, Server};
