//! Which replicas live, and how far each has followed the log: a hash in Redis, which each of them keeps up to date.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use larder_store::AppliedBy;
use redis::RedisResult;
use redis::aio::ConnectionLike;

use crate::link::{Lane, Link};
use crate::scripts;
use crate::stats::Operation;

/// A replica that has not reported for so long is gone, or cut off.
const ALIVE: Duration = Duration::from_secs(3);

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Replicas {
    /// The hash: `replica -> entry applied last, and when it said so`.
    key: String,
    /// This replica's own name in it, drawn by lot.
    own: String,
}

impl Replicas {
    pub(crate) fn new(prefix: &str) -> Self {
        let lot = RandomState::new();
        Self { key: format!("{prefix}:{{log}}:r"), own: format!("{:016x}{:016x}", lot.hash_one(0), lot.hash_one(1)) }
    }

    /// This replica has applied the log up to `number`.
    pub(crate) async fn report(&self, connection: &mut impl ConnectionLike, number: u64) -> RedisResult<()> {
        let call = scripts::REPORT.call().key(&self.key).arg(&self.own).arg(number).arg(ALIVE.as_millis() as u64);
        call.invoke(connection).await
    }

    pub(crate) async fn applied_by(&self, link: &Arc<Link>, number: u64) -> Option<AppliedBy> {
        let call = scripts::APPLIED.call().key(&self.key).arg(number).arg(ALIVE.as_millis() as u64);
        let call = &call;
        let work = |mut connection| async move { call.invoke::<(usize, usize)>(&mut connection).await };
        let (applied, replicas) = link.run(Operation::Publish, Lane::Small, work).await.ok()?;
        Some(AppliedBy { applied, replicas })
    }
}
