//! What a replica knows of the clients of a limit that replicas share, by when its units are known.

use larder_redis::{LimitAsk, RedisStore};

use super::RunningLimit;
use super::owing::Owing;
use super::shared::Shared;

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

    /// The question for Redis about one request.
    pub(super) fn ask<'a>(&self, limit: &'a RunningLimit, key: &'a str) -> LimitAsk<'a> {
        match self {
            Self::Granted(shared) => shared.ask(limit, key),
            Self::Owing(_) => Owing::ask(limit, key, 0),
        }
    }

    /// Redis has taken what was owed into account.
    pub(super) fn settled(&self, ask: &LimitAsk<'_>) {
        if let Self::Granted(shared) = self {
            shared.settled(ask);
        }
    }

    /// Forgets clients of which nothing needs to be known.
    pub(super) fn forget_idle(&self, now: u64) {
        match self {
            Self::Granted(shared) => shared.forget_idle(now),
            Self::Owing(owing) => owing.forget_idle(now),
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
