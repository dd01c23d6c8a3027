//! What an upstream is spared: more exchanges than it may have, and exchanges while it fails.

pub(crate) mod concurrency;
mod failure_log;
pub(crate) mod health;
