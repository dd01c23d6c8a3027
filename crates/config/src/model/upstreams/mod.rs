//! `[upstreams.NAME]`: where requests go, how they are shared out, and what protects the servers there.

mod balancing;
mod health;
mod upstream;
mod upstream_url;

pub use balancing::{Balance, Eject, HashKey, HashPart, KeySpan, PerMille, Retry, RetryMethods, RetryOn, UpstreamServer};
pub use health::HealthCheck;
pub use upstream::{BreakerLimit, Limit, Resolve, Upstream};
pub use upstream_url::{InvalidUpstreamUrl, UpstreamUrl};
