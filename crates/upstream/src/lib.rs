//! The client to origins: pools of keep-alive connections with deadlines, one safe retry, and failures told apart by kind.
//!
//! [`UpstreamService`] is the inner service of the cache, one for each configured upstream. It does to heads what a gateway has to do
//! ([`larder_message::forward`]) and nothing to targets and bodies: path, query and content go through byte for byte, as they come.
//!
//! ```text
//! request --> upstream::Upstream     takes a permit (protect::concurrency), asks its breaker (protect::health)
//!         --> balance::Servers       picks a server
//!         --> endpoint::Endpoint     writes the request (exchange::transport)
//!         --> exchange::transport    sends it and waits for the head, so long and no longer (exchange::deadline)
//!               |-- http1::Pool      HTTP/1.1: an idle connection, or a new one (connect)
//!               |-- http2::Http2     HTTP/2 without TLS: the one connection
//!               `-- GeneralClients   what the TLS handshake negotiates
//!         --> retry::again           another server, where that one failed and the request may be sent once more
//!         --> exchange::body         streams, holds the permit until its end, and gives the connection back
//! health  --> checking               asks servers in the background, or hears from other replicas (check::shared)
//! names   --> resolve                looks names up again, whose addresses are servers (balance::server_set), by the system or by names::dns
//! upgrade --> tunnel                 a connection of its own, joined with the client's after 101
//! ```
//!
//! Imports go one way: `service` and `tunnel` know `retry`, `checking` and `resolve`; those know `upstream`; that knows `balance`, which knows
//! `endpoint`, `check` and `protect`; `endpoint` knows `exchange`; that knows `http1` and `http2`; those know `request` and `connect`; all know
//! `error`, `names`, `observe`, `options` and `url`.

mod balance;
mod check;
mod checking;
mod connect;
mod endpoint;
mod error;
mod exchange;
#[doc(hidden)]
pub mod fuzzing;
mod http1;
mod http2;
mod names;
mod observe;
mod options;
mod protect;
mod request;
mod resolve;
mod retry;
mod server_state;
mod service;
mod stand_in;
#[cfg(test)]
mod tests;
mod tunnel;
mod upstream;
mod url;

pub use check::shared::{CheckLease, SharedChecks, Sharing};
pub use check::streak::Streak;
pub use error::{Phase, UpstreamError};
pub use exchange::body::UpstreamBody;
pub use names::look_up::LookUp;
pub use observe::{ExchangeObserver, ExchangeReport, OriginObserver, UpstreamStats};
pub use options::{UpstreamOptions, UpstreamSetupError};
pub use server_state::ServerState;
pub use service::{ClientContext, UpstreamService};
pub use stand_in::StandIn;
pub use tunnel::TunnelClient;
