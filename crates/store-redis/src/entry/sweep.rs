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

/// Failures in a row after which what is left on a server stays there until it expires.
const MAX_FAILURES: u32 = 60;

/// Sweeps after each purge of everything that this replica has put into the log, for as long as the tier lives.
pub(crate) async fn keep_sweeping(tier: Weak<Tier>, mut everything: watch::Receiver<u64>) {
    while everything.changed().await.is_ok() {
        let number = ordered(*everything.borrow_and_update());
        let Some(servers) = tier.upgrade().map(|tier| servers(&tier)) else { return };
        for server in servers {
            Sweep::new(server, number.clone()).run(&tier).await;
        }
    }
}

/// Where the servers are that have entries.
fn servers(tier: &Tier) -> Vec<String> {
    let mut servers: Vec<String> = tier.log.inspected().servers.into_iter().map(|server| server.address).collect();
    if servers.is_empty() && !matches!(tier.link.options().servers, RedisServers::Cluster(_)) {
        // It was not looked at yet, or does not say who it is: one is asked without its address.
        servers.push(String::new());
    }
    servers
}

/// A sweep of one server, which drops every entry that was fetched before the log's entry of this number.
struct Sweep {
    server: String,
    number: String,
    /// Where to look on; `None`: all was looked at.
    cursor: Option<u64>,
    /// Entries that were found and are not judged yet.
    found: Vec<String>,
    /// Entries and looks that are done.
    done: u64,
    /// Whether what begins so is another namespace's, as far as that is known.
    namespaces: HashMap<String, bool>,
}

impl Sweep {
    fn new(server: String, number: String) -> Self {
        Self { server, number, cursor: Some(0), found: Vec::new(), done: 0, namespaces: HashMap::new() }
    }

    /// Sweeps to the end. Where an answer is late, it goes on from there after a pause: in the many round trips of a large cache some are.
    async fn run(mut self, tier: &Weak<Tier>) {
        let (mut failures, mut done) = (0, 0);
        while let Some(tier) = tier.upgrade() {
            let Err(error) = self.go_on(&tier).await else { return };
            failures = if self.done == done { failures + 1 } else { 1 };
            done = self.done;
            if failures > MAX_FAILURES {
                debug!("what a purge of everything left in Redis is not dropped: {error}");
                return;
            }
            let pause = tier.link.options().breaker_open;
            drop(tier);
            tokio::time::sleep(pause).await;
        }
    }

    async fn go_on(&mut self, tier: &Arc<Tier>) -> Result<(), RemoteError> {
        loop {
            while let Some(entry) = self.found.last() {
                if !is_of_another(tier, entry, &mut self.namespaces).await? {
                    drop_older(tier, EntryKey::found(entry.clone()), &self.number).await?;
                }
                self.found.pop();
                self.done += 1;
            }
            let Some(cursor) = self.cursor else { return Ok(()) };
            let (next, found) = look(tier, &self.server, cursor).await?;
            (self.cursor, self.found) = ((next != 0).then_some(next), found);
            self.done += 1;
        }
    }
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
            let Ok(fetch) = u64::from_str_radix(&fetch, 16) else { return Ok(()) };
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
