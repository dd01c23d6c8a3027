//! Drops entries from Redis that a purge of everything has invalidated.
//!
//! Keys of the default namespace begin as those of every other do, and a name may stand between that beginning and the digest. What follows the
//! beginning is another namespace where that has a log of its own: its entries are left alone.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use larder_redis_options::RedisServers;
use larder_store::RemoteError;
use tokio::sync::watch;
use tracing::debug;

use super::queue::Removal;
use super::tier::Tier;
use super::write::remove;
use crate::link::{Connection, Lane, Operation};
use crate::log::registry_key;
use crate::value::{EntryKey, ordered};

/// Keys that one `SCAN` of a server goes through. The server answers no other client meanwhile.
const LOOK: u32 = 500;

/// Beginnings of keys of which it is remembered whose they are.
const MAX_KNOWN: usize = 1_000;

/// Sweeps after each purge of everything that this replica has put into the log, for as long as the tier lives.
pub(crate) async fn keep_sweeping(tier: Weak<Tier>, mut everything: watch::Receiver<u64>) {
    while everything.changed().await.is_ok() {
        let number = *everything.borrow_and_update();
        let Some(tier) = tier.upgrade() else { return };
        if let Err(error) = sweep(&tier, number).await {
            debug!("what a purge of everything left in Redis is not dropped: {error}");
        }
    }
}

/// Drops every entry that was fetched before the log's entry of this number.
async fn sweep(tier: &Arc<Tier>, number: u64) -> Result<(), RemoteError> {
    let (number, mut namespaces) = (ordered(number), HashMap::new());
    let mut servers: Vec<String> = tier.log.inspected().servers.into_iter().map(|server| server.address).collect();
    if servers.is_empty() && !matches!(tier.link.options().servers, RedisServers::Cluster(_)) {
        // It was not looked at yet, or does not say who it is: one is asked without its address.
        servers.push(String::new());
    }
    for server in servers {
        let mut cursor = 0;
        loop {
            let (next, found) = look(tier, &server, cursor).await?;
            for entry in found {
                if !is_of_another(tier, &entry, &mut namespaces).await? {
                    drop_older(tier, EntryKey::found(entry), &number).await?;
                }
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

/// Whether an entry is another namespace's, as far as is `known` already or Redis says now.
async fn is_of_another(tier: &Arc<Tier>, entry: &str, known: &mut HashMap<String, bool>) -> Result<bool, RemoteError> {
    let Some(prefix) = longer_prefix(&tier.link.options().prefix, entry) else { return Ok(false) };
    if let Some(is_another) = known.get(prefix) {
        return Ok(*is_another);
    }
    let mut exists = redis::cmd("EXISTS");
    exists.arg(registry_key(prefix));
    let exists = &exists;
    let work = |mut connection| async move { exists.query_async::<bool>(&mut connection).await };
    let is_another = tier.link.run(Operation::Remove, Lane::Small, work).await?;
    if known.len() == MAX_KNOWN {
        known.clear();
    }
    known.insert(prefix.to_owned(), is_another);
    Ok(is_another)
}

/// The prefix of the namespace that an entry is of unless it has a name that begins like that.
fn longer_prefix<'e>(prefix: &str, entry: &'e str) -> Option<&'e str> {
    let rest = entry.strip_prefix(prefix)?.strip_prefix(':')?;
    let (word, _) = rest.split_once(':').filter(|(word, _)| !word.contains('{'))?;
    Some(&entry[..entry.len() - rest.len() + word.len()])
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
            remove(tier, entry, fetch, &Removal::Useless).await
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_namespace_stands_before_the_digest() {
        for (entry, longer) in [
            ("larder:{0123}", None),
            ("larder:{0123}:v:4567", None),
            ("larder:shop:{0123}", Some("larder:shop")),
            ("larder:shop:issue:7:{0123}", Some("larder:shop")),
            ("larder:issue:7:{0123}:v:4567", Some("larder:issue")),
            ("larders:{0123}", None),
        ] {
            assert_eq!(longer_prefix("larder", entry), longer, "{entry}");
        }
    }
}
