//! Protection of an upstream: from too many exchanges, and from exchanges while it fails.

pub(crate) mod budget;
pub(crate) mod concurrency;
pub(crate) mod failure_log;
pub(crate) mod health;
pub(crate) mod learnt;
mod told;
