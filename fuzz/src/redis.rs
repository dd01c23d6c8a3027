//! Targets of `larder-redis`: what it reads from Redis.

use larder_redis::fuzzing::{log_entries, values};

/// Every target of this crate.
pub const TARGETS: &[super::FuzzTarget] = &[("redis_values", values), ("log_entries", log_entries)];
