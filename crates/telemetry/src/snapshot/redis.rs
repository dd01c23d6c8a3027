//! The tier in Redis.

use serde::Serialize;

use super::{Breaker, OperationSnapshot};

/// The tier in Redis.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RedisSnapshot {
    /// Every kind of operation.
    pub operations: Vec<OperationSnapshot>,
    /// Look-ups by their outcome.
    pub lookups: RedisLookups,
    /// Long bodies, and answers of other replicas, that broke off after their beginning was sent, since the start.
    pub interrupted: u64,
    /// Answers that other replicas could read while they arrived here, since the start.
    pub relays: u64,
    /// Responses on their way into Redis.
    pub writes: RedisWrites,
    /// The log of invalidations that replicas share.
    pub log: LogSnapshot,
    /// Whether Redis is asked.
    pub breaker: Breaker,
    /// The servers, as their `INFO` describes them.
    pub servers: Vec<RedisServer>,
}

/// Look-ups since the start, by their outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RedisLookups {
    /// A response was found.
    pub hit: u64,
    /// None was found.
    pub miss: u64,
    /// Another replica held the lease.
    pub awaited: u64,
    /// Another replica's answer was on its way, and was read from it.
    pub relayed: u64,
    /// The value could not be decoded, and was deleted.
    pub damaged: u64,
    /// None of the keys opens the value, and it was deleted.
    pub locked: u64,
}

/// Responses on their way into Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RedisWrites {
    /// Responses written, since the start.
    pub written: u64,
    /// Bytes that compression saved, since the start.
    pub saved_bytes: u64,
    /// Writes given up because the queue was full, since the start.
    pub dropped: u64,
    /// Writes that wait.
    pub queued: u64,
    /// Bytes of bodies that wait.
    pub queued_bytes: u64,
}

/// The log of invalidations that replicas share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LogSnapshot {
    /// The number of the entry that was applied last.
    pub number: u64,
    /// How long ago the log was last seen to have nothing new; `None` before it was first read to its end.
    pub lag_seconds: Option<f64>,
    /// Whether the log took the last invalidation that was put into it, or none was.
    pub writable: bool,
    /// Invalidations that the log does not have yet.
    pub journaled: u64,
    /// How often an invalidation could not be put into the log, since the start.
    pub refused: u64,
    /// How often the log's own keys were damaged and it began anew, since the start.
    pub damaged: u64,
}

/// One server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RedisServer {
    /// Its address in a Cluster; empty where there is one server only.
    pub address: String,
    /// `redis 7.0.15`, `valkey 8.0.1`.
    pub version: String,
    /// Its policy when its memory is full: `noeviction`, `allkeys-lru`, ….
    pub policy: String,
    /// Bytes of memory that it uses.
    pub used_memory: u64,
    /// Bytes of memory that it may use; 0 is no limit.
    pub max_memory: u64,
    /// `master` or `slave`.
    pub role: String,
    /// Seconds since its start.
    pub uptime_seconds: u64,
    /// Bytes of memory that the operating system has given it.
    pub resident_memory: u64,
    /// Connected clients.
    pub clients: u64,
    /// Keys that it has.
    pub keys: u64,
    /// Keys that it evicted since its start.
    pub evicted: u64,
    /// Keys that expired since its start.
    pub expired: u64,
    /// Commands that it carried out since its start.
    pub commands: u64,
    /// Look-ups of keys that it had, since its start.
    pub keyspace_hits: u64,
    /// Look-ups of keys that it did not have, since its start.
    pub keyspace_misses: u64,
    /// Connections that it refused since its start, because it had as many as it may have.
    pub rejected_connections: u64,
}
