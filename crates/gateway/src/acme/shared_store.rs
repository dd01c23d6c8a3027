//! Redis as the store of account and certificates, so that replicas share them.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use larder_acme::{AcmeStore, StoreError, Stored};
use larder_redis::RedisStore;
use larder_store::RemoteError;

use crate::redis::Redis;

/// The Redis of `[store.redis]`.
pub(super) struct SharedStore {
    redis: RedisStore,
    /// Tells this process from the others.
    holder: String,
}

impl SharedStore {
    pub(super) fn new(redis: &Redis) -> Self {
        Self { redis: redis.store().clone(), holder: format!("{:016x}", RandomState::new().hash_one(std::process::id())) }
    }
}

fn failed(error: RemoteError) -> StoreError {
    StoreError(format!("Redis: {error}"))
}

/// What is kept there beside responses.
fn named(name: &str) -> String {
    format!("acme/{name}")
}

impl AcmeStore for SharedStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn load<'a>(&'a self, name: &'a str) -> Stored<'a, Option<Vec<u8>>> {
        Box::pin(async move { self.redis.value(&named(name)).await.map_err(failed) })
    }

    fn save<'a>(&'a self, name: &'a str, value: &'a [u8], kept: Duration) -> Stored<'a, ()> {
        Box::pin(async move { self.redis.keep_value(&named(name), value, kept).await.map_err(failed) })
    }

    fn lock<'a>(&'a self, name: &'a str, term: Duration) -> Stored<'a, bool> {
        Box::pin(async move { self.redis.lock(&named(name), &self.holder, term).await.map_err(failed) })
    }

    fn unlock<'a>(&'a self, name: &'a str, pause: Duration) -> Stored<'a, ()> {
        Box::pin(async move { self.redis.unlock(&named(name), &self.holder, pause).await.map_err(failed) })
    }
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedStore")
    }
}
