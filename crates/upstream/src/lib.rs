//! The client to origins: pools of keep-alive connections with deadlines, one safe retry, and failures told apart by kind.
//!
//! [`UpstreamService`] is the inner service of the cache, one for each configured upstream. It does to heads what a gateway has to do
//! ([`larder_message::forward`]) and nothing to targets and bodies: path, query and content go through byte for byte, as they come.
//!
//! ```text
//! request --> service::Upstream      takes a permit (protect::concurrency), picks an endpoint
//!         --> endpoint::Endpoint     writes the request (exchange::transport), asks its breaker (protect::health)
//!         --> exchange::transport    sends it and waits for the head, so long and no longer (exchange::deadline)
//!               |-- http1::Pool      HTTP/1.1: an idle connection, or a new one (connect)
//!               |-- http2::Http2     HTTP/2 without TLS: the one connection
//!               `-- GeneralClients   what the TLS handshake negotiates
//!         --> exchange::body         streams, holds the permit until its end, and gives the connection back
//! upgrade --> tunnel                 a connection of its own, joined with the client's after 101
//! ```
//!
//! Imports go one way: `service` and `tunnel` know `endpoint`; that knows `exchange` and `protect`; `exchange` knows `http1` and `http2`; those know
//! `request` and `connect`; all know `error`, `observe`, `options` and `url`.

mod connect;
mod endpoint;
mod error;
mod exchange;
#[doc(hidden)]
pub mod fuzzing;
mod http1;
mod http2;
mod observe;
mod options;
mod protect;
mod request;
mod service;
#[cfg(test)]
mod tests;
mod tunnel;
mod url;

pub use error::{Phase, UpstreamError};
pub use exchange::body::UpstreamBody;
pub use observe::{OriginObserver, UpstreamStats};
pub use options::{UpstreamOptions, UpstreamSetupError};
pub use service::{ClientContext, UpstreamService};
pub use tunnel::TunnelClient;
