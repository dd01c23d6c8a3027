//! The way to an origin: a pool of keep-alive connections with deadlines, one safe retry, and failures told apart by kind.
//!
//! [`UpstreamService`] is the inner service of the cache, one for each configured upstream. It does to heads what a gateway has to do
//! ([`larder_message::forward`]) and nothing to targets and bodies: path, query and content go through byte for byte, as they come.

mod body;
mod connect;
mod error;
mod expect;
mod health;
mod http1;
mod http2;
mod interim;
mod observe;
mod options;
mod patience;
mod places;
mod pool;
mod progress;
mod send;
mod service;
#[cfg(test)]
pub(crate) mod test_origin;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_http2;
#[cfg(test)]
mod tests_through;
#[cfg(test)]
mod tests_tls;
mod trouble;
mod tunnel;
mod url;

pub use body::UpstreamBody;
pub use connect::Phase;
pub use error::UpstreamError;
pub use observe::{OriginObserver, UpstreamStats};
pub use options::{UpstreamOptions, UpstreamSetupError};
pub use service::{Requester, UpstreamService};
pub use tunnel::TunnelClient;
