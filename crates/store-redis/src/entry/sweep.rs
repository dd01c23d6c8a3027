//! Drops entries from Redis that a purge of everything has invalidated.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use larder_store::{AppliedBy, Invalidation, InvalidationLog, InvalidationTarget, Published, RemoteError, StoreFuture};
use tracing::debug;

use super::tier::Tier;
use super::write::remove;
use crate::link::{Connection, Lane, Operation};
use crate::value::{EntryKey, ordered};

/// Keys that one `SCAN` of a server goes through. The server answers no other client meanwhile.
const LOOK: u32 = 500;

/// The log of invalidations, with what a purge of everything leaves in Redis dropped from there.
#[derive(Debug)]
pub(crate) struct SweepingLog(pub(crate) Arc<Tier>);

impl InvalidationLog for SweepingLog {
    fn publish(&self, invalidation: Invalidation) -> StoreFuture<'_, Published> {
        Box::pin(async move {
            let everything = !invalidation.soft && invalidation.targets.contains(&InvalidationTarget::All);
            let published = self.0.log.publish(invalidation).await;
            if let Published::Logged(number) = published
                && everything
                // A sweep that runs already goes on to this one.
                && self.0.sweep_to.fetch_max(number, Ordering::Relaxed) == 0
            {
                tokio::spawn(sweep_all(Arc::downgrade(&self.0)));
            }
            published
        })
    }

    fn publish_once(&self, invalidation: Invalidation, messages: Vec<u64>) -> StoreFuture<'_, Published> {
        self.0.log.publish_once(invalidation, messages)
    }

    fn outlives_process(&self) -> bool {
        self.0.log.outlives_process()
    }

    fn applied_by(&self, number: u64) -> StoreFuture<'_, Option<AppliedBy>> {
        self.0.log.applied_by(number)
    }
}

/// Sweeps until no later entry of the log has invalidated everything meanwhile.
async fn sweep_all(tier: Weak<Tier>) {
    while let Some(tier) = tier.upgrade() {
        let number = tier.sweep_to.load(Ordering::Relaxed);
        if let Err(error) = sweep(&tier, number).await {
            debug!("what a purge of everything left in Redis is not dropped: {error}");
        }
        if tier.sweep_to.compare_exchange(number, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return;
        }
    }
}

/// Drops every entry that was fetched before the log's entry of this number.
async fn sweep(tier: &Arc<Tier>, number: u64) -> Result<(), RemoteError> {
    let number = ordered(number);
    for server in tier.log.inspected().servers {
        let mut cursor = 0;
        loop {
            let (next, found) = look(tier, &server.address, cursor).await?;
            for entry in found {
                drop_older(tier, EntryKey::found(entry), &number).await?;
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// Some of a server's entries, and where to look on; 0 at the end.
async fn look(tier: &Arc<Tier>, server: &str, cursor: u64) -> Result<(u64, Vec<String>), RemoteError> {
    let mut scan = redis::cmd("SCAN");
    // Those with a name have it before the digest.
    let name = if tier.names.are_set() { "*" } else { "" };
    let pattern = format!("{}:{name}{{{}}}*", tier.link.options().prefix, "?".repeat(32));
    scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(LOOK).arg("TYPE").arg("hash");
    let scan = &scan;
    let work = |connection: Connection| async move { redis::from_redis_value(connection.ask(server, scan).await?).map_err(Into::into) };
    tier.link.run(Operation::Remove, Lane::Bulk, work).await
}

async fn drop_older(tier: &Arc<Tier>, entry: EntryKey, number: &str) -> Result<(), RemoteError> {
    let mut get = redis::cmd("HMGET");
    get.arg(entry.entry()).arg("f").arg("p");
    let get = &get;
    let work = |mut connection| async move { get.query_async::<(Option<String>, Option<String>)>(&mut connection).await };
    match tier.link.run(Operation::Remove, Lane::Small, work).await? {
        (Some(fetch), Some(position)) if position.as_str() < number => {
            // One that came since is of a later fetch.
            let fetch = u64::from_str_radix(&fetch, 16).map_err(|_| RemoteError::Damaged)?;
            remove(tier, entry, fetch).await
        }
        _ => Ok(()),
    }
}
