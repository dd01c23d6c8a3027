//! One look at the log: what is new in it, where it ends, and who else follows it.

use larder_store::Epoch;
use redis::{RedisResult, cmd};

use super::record::Entry;
use super::registry::Registry;
use super::state::Log;
use crate::link::{Connection, Found};
use crate::scripts;

/// Bytes of entries in one answer: what a slow connection brings in a moment.
const MAX_REPLY_BYTES: usize = 256 << 10;

/// The result of a look.
pub(crate) struct Look {
    /// The number of the last entry.
    pub(crate) last: u64,
    /// The log begins anew with that.
    pub(crate) begun: bool,
    /// The replication id of the server that wrote last.
    server: String,
    /// Damage to the log's own keys, in words for people; empty if there was none.
    pub(crate) damage: String,
    pub(crate) registry: Registry,
    /// The entries after the one that was applied last, as far as one answer goes.
    pub(crate) entries: Vec<Entry>,
}

type LookReply = (u64, bool, String, String, i64, Vec<String>, Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>);

impl Look {
    /// Asks, and says how far this replica is.
    pub(crate) async fn at(log: &Log, connection: &mut Connection) -> RedisResult<Self> {
        let call = log.keys().into_iter().fold(scripts::CATCH_UP.call(), |call, key| call.key(key));
        let call = call.arg(log.applied()).arg(MAX_REPLY_BYTES);
        let (last, begun, server, damage, now, registry, entries): LookReply = log.replicas.report(connection, call).await?;
        let entries = entries.into_iter().filter_map(|(id, invalidation, messages)| Entry::read(&id, &invalidation, &messages)).collect();
        Ok(Self { last, begun, server, damage, registry: Registry::read(now, &registry), entries })
    }

    /// The log's epoch: its numbers leap wherever another server has written last, so those of one server and one name are one sequence.
    /// `None` where the server does not say who it is.
    pub(crate) fn epoch(&self, prefix: &str) -> Option<Epoch> {
        /// In place of an id that could not be read.
        const UNKNOWN: &str = "unknown";
        let is_known = !self.server.is_empty() && self.server != UNKNOWN;
        is_known.then(|| Epoch::of(&format!("{prefix} {}", self.server)))
    }
}

impl Log {
    /// The number of the last entry, by a connection of its own. 0 where the counter is missing or damaged.
    pub(crate) async fn end(&self, found: &Found) -> RedisResult<u64> {
        let options = self.link.options();
        let [counter, ..] = self.keys();
        let mut connection = found.connect(options, options.connect_timeout).await?;
        let text = cmd("GET").arg(counter).query_async::<Option<String>>(&mut connection).await;
        Ok(text.ok().flatten().and_then(|text| text.parse().ok()).unwrap_or_default())
    }
}
