//! Who clients are, and how much they may have.

mod auth;
mod limits;

pub use auth::{JwksUrl, JwtAuth, JwtKeys};
pub use limits::{LimitCount, LimitKey, LimitOver, RateLimit};
