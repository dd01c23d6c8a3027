//! What a replica knows of the clients of a limit that replicas share, by when its units are known.

use larder_redis::{LimitAsk, RedisStore};

use super::RunningLimit;
use super::owing::Owing;
use super::shared::{Shared, Telling};

/// Replicas count together.
#[derive(Debug)]
pub(super) enum Together {
    /// One unit a request, which Redis grants beforehand.
    Granted(Shared),
    /// As many as an answer has had, which Redis is told of afterwards.
    Owing(Owing),
}

impl Together {
    pub(super) fn redis(&self) -> &RedisStore {
        match self {
            Self::Granted(shared) => shared.redis(),
            Self::Owing(owing) => owing.redis(),
        }
    }

    /// Requests that were decided about without Redis.
    pub(super) fn alone(&self) -> u64 {
        match self {
            Self::Granted(shared) => shared.alone(),
            Self::Owing(owing) => owing.alone(),
        }
    }

    /// Whether a request can be decided about without asking.
    pub(super) fn is_ready(&self, key: &str, now: u64) -> bool {
        match self {
            Self::Granted(shared) => shared.is_ready(key, now),
            Self::Owing(owing) => owing.is_ready(key, now),
        }
    }

    /// The question for Redis about one request, with what it tells of.
    pub(super) fn ask<'a>(&self, limit: &'a RunningLimit, key: &'a str) -> (LimitAsk<'a>, Option<Telling>) {
        match self {
            Self::Granted(shared) => {
                let (ask, telling) = shared.ask(limit, key);
                (ask, Some(telling))
            }
            Self::Owing(_) => (Owing::ask(limit, key, 0), None),
        }
    }

    /// Bytes of clients that wait until Redis is told of what they owe.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Granted(_) => 0,
            Self::Owing(owing) => owing.unsettled_bytes(),
        }
    }

    /// Forgets clients of which nothing needs to be known.
    pub(super) fn forget_idle(&self, now: u64) {
        match self {
            Self::Granted(shared) => shared.forget_idle(now),
            Self::Owing(owing) => owing.forget_idle(now),
        }
    }

    /// From now on so many clients are known at most.
    pub(super) fn set_max_keys(&self, max_keys: usize) {
        match self {
            Self::Granted(shared) => shared.set_max_keys(max_keys),
            Self::Owing(owing) => owing.set_max_keys(max_keys),
        }
    }

    /// Forgets a client.
    pub(super) fn forget(&self, key: &str) {
        match self {
            Self::Granted(shared) => shared.forget(key),
            Self::Owing(owing) => owing.forget(key),
        }
    }
}
