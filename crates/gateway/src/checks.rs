//! Health checks of upstreams, shared with other replicas through Redis.

use std::fmt;
use std::time::Duration;

use larder_redis::RedisStore;

use crate::upstream::{CheckLease, SharedChecks, Sharing, Streak};

/// The replicas that share this Redis.
pub(crate) struct Replicas(pub(crate) RedisStore);

impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replicas")
    }
}

impl SharedChecks for Replicas {
    fn turn<'a>(&'a self, check: &'a str, term: Duration) -> Sharing<'a, Option<CheckLease>> {
        Box::pin(async move {
            let (word, is_own) = self.0.turn(check, term).await.ok()?;
            Some(CheckLease { known: word.and_then(|word| word.parse().ok()), is_own })
        })
    }

    fn tell<'a>(&'a self, check: &'a str, streak: Streak, kept: Duration) -> Sharing<'a, ()> {
        Box::pin(async move { self.0.tell(check, &streak.to_string(), kept).await })
    }
}
