//! Health checks: servers are asked whether they work, apart from the requests of clients.
//!
//! [`streak`] judges the answers, and [`shared`] is how replicas tell each other, so that one of them asks and all know.

pub(crate) mod shared;
pub(crate) mod streak;
