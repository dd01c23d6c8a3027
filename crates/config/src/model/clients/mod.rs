//! Who clients are, and how much they may have.

mod auth;
mod limits;
mod quotas;

pub use auth::{JwksUrl, JwtAuth, JwtKeys};
pub use limits::{Amount, LimitCount, LimitKey, LimitOver, RateLimit};
pub use quotas::{Period, PeriodWindow, QuotaPart};
