//! Who asks and for what: the connection that a request came over, and what trusted proxies say beside it.
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
