//! The client of a request and its effective target: by the connection, and by trusted proxies.
//!
//! ```text
//! ClientConnection, head --> effective_target --(a trusted peer)--> trust::read_claim --> EffectiveTarget
//! ```

mod connection;
pub(crate) mod target;
pub(crate) mod trust;

pub use connection::ClientConnection;
pub use target::{EffectiveTarget, effective_target};
pub use trust::{Trust, TrustedProxies};
