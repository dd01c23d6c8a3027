//! What a gateway does to messages on their way through (RFC 9110 §7.6, RFC 7239): which fields end here, which are added, and what
//! of a client's claims about itself is believed. Pure functions on heads; nothing here does I/O or reads a clock.

mod account;
mod claims;
mod client_connection;
mod request;
mod response;
mod target;
mod trailers;
mod trust;
mod via;

pub use client_connection::ClientConnection;
pub use request::{ForwardRules, HostPolicy, is_upgrade, to_upstream, upstream_fields};
pub use response::{Unforwardable, to_client};
pub use target::{EffectiveTarget, effective_target};
pub use trailers::filter_trailers;
pub use trust::{Trust, TrustedProxies};
pub use via::{CDN_LOOP, loops};
