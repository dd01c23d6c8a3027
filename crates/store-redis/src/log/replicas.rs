//! Which replicas live, and how far each has followed the log: a hash in Redis, which each of them keeps up to date.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use larder_store::{AppliedBy, RemoteError};
use redis::aio::ConnectionLike;
use redis::{RedisResult, cmd};

use super::registry::{Registry, ReplicaInfo};
use crate::link::{Lane, Link, Operation};
use crate::scripts::{self, Call};

/// Added to the time for which a replica counts, for its word and for its first requests to be on their way.
const MARGIN: Duration = Duration::from_secs(3);

/// The key of the registry, which is there once any replica has followed the log with this prefix.
pub(crate) fn registry_key(prefix: &str) -> String {
    format!("{prefix}:{{log}}:m")
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Replicas {
    /// The hash: `replica -> entry applied last, when it said so, for how long that counts, whether it hears the channel`.
    key: String,
    /// This replica's own name in it: random, and behind an `@` the one that people know.
    own: String,
    /// For how long its word counts.
    counts: u64,
    listens: AtomicBool,
    left: AtomicBool,
    /// As it was read last.
    known: RwLock<Registry>,
    /// Held while this replica's word is on its way, so that none overtakes its last one.
    reporting: tokio::sync::Mutex<()>,
}

impl Replicas {
    /// Cut off, a replica serves for `max_lag` what it has, and what it fetches meanwhile for as long again.
    pub(crate) fn new(prefix: &str, known_as: &str, max_lag: Duration) -> Self {
        let random = RandomState::new();
        let mut own = format!("{:016x}{:016x}", random.hash_one(0), random.hash_one(1));
        if !known_as.is_empty() {
            own = format!("{own}@{known_as}");
        }
        let counts = u64::try_from((max_lag * 2 + MARGIN).as_millis()).unwrap_or(u64::MAX);
        let key = registry_key(prefix);
        let (listens, left, known, reporting) = Default::default();
        Self { key, own, counts, listens, left, known, reporting }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Puts this replica's word into a call of `scripts/catch_up.lua`, and makes it.
    pub(crate) async fn report<T: redis::FromRedisValue>(&self, connection: &mut impl ConnectionLike, call: Call) -> RedisResult<T> {
        let _reporting = self.reporting.lock().await;
        let own = if self.left.load(Ordering::Relaxed) { "" } else { &self.own };
        let mut call = call.arg(own).arg(self.counts).arg(u8::from(self.listens.load(Ordering::Relaxed)));
        for [name, word] in self.known.read().unwrap_or_else(PoisonError::into_inner).others(&self.own) {
            call = call.arg(name).arg(word);
        }
        call.invoke(connection).await
    }

    pub(crate) fn set_known(&self, registry: Registry) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = registry;
    }

    /// This replica stops: purges need not wait for it any more.
    pub(crate) async fn leave(&self, connection: &mut impl ConnectionLike) -> RedisResult<()> {
        let _reporting = self.reporting.lock().await;
        self.left.store(true, Ordering::Relaxed);
        cmd("HDEL").arg(&self.key).arg(&self.own).query_async(connection).await
    }

    pub(crate) fn set_listens(&self, listens: bool) {
        self.listens.store(listens, Ordering::Relaxed);
    }

    /// All replicas as they were read last, so long ago, this one first. It has applied all up to `applied`.
    pub(crate) fn all(&self, applied: u64, ago: Duration) -> Vec<ReplicaInfo> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).replicas(&self.own, applied, ago)
    }

    /// This replica's own name.
    pub(crate) fn own(&self) -> &str {
        &self.own
    }

    /// Whether the replica of this name lives no more, or is an earlier process of this one, or this one itself.
    pub(crate) async fn is_gone(&self, link: &Arc<Link>, name: &str) -> Result<bool, RemoteError> {
        let known_as = |name: &str| name.split_once('@').map(|(_, known_as)| known_as.to_owned());
        if name == self.own || known_as(name).is_some_and(|theirs| Some(theirs) == known_as(&self.own)) {
            return Ok(true);
        }
        Ok(!self.read(link).await?.lives(name))
    }

    /// The registry as it is now.
    async fn read(&self, link: &Arc<Link>) -> Result<Registry, RemoteError> {
        let call = &scripts::APPLIED.call().key(&self.key);
        let work = |mut connection| async move { call.invoke::<(i64, Vec<String>)>(&mut connection).await };
        let (now, fields) = link.run(Operation::Publish, Lane::Small, work).await?;
        Ok(Registry::read(now, &fields))
    }

    /// How many replicas that hear the channel come before this one.
    pub(crate) fn rank(&self) -> u32 {
        self.known.read().unwrap_or_else(PoisonError::into_inner).rank(&self.own)
    }

    /// Which replicas have applied entry `number`, given that this replica has applied all up to `applied`.
    pub(crate) async fn applied_by(&self, link: &Arc<Link>, number: u64, applied: u64) -> Option<AppliedBy> {
        let registry = self.read(link).await.ok()?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Some(registry.tally(number, &self.own, applied, &known, self.counts))
    }
}
