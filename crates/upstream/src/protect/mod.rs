//! Protection of an upstream: from too many exchanges, and from exchanges while it fails.

pub(crate) mod concurrency;
mod failure_log;
pub(crate) mod health;
