//! Counters of the tier in Redis.

use std::time::Duration;

use larder_redis::{Operation, RedisObserver, RedisStats, ServerInfo};
use larder_store::RemoteError;

use super::operations::Operations;
use crate::snapshot::{LogSnapshot, RedisLookups, RedisServer, RedisSnapshot, RedisWrites};

/// Operations by how long they took and how they failed.
#[derive(Debug, Default)]
pub struct RedisMetrics(Operations<{ Operation::ALL.len() }>);

impl RedisObserver for RedisMetrics {
    fn operation(&self, operation: Operation, outcome: Result<(), RemoteError>, elapsed: Duration) {
        self.0.count(operation as usize, outcome, elapsed);
    }
}

impl RedisMetrics {
    /// Figures counted here, with those that the tier and its servers report.
    pub fn snapshot(&self, stats: &RedisStats, servers: Vec<ServerInfo>) -> RedisSnapshot {
        RedisSnapshot {
            operations: self.0.snapshot(Operation::ALL.map(Operation::as_str)),
            lookups: RedisLookups {
                hit: stats.hits,
                miss: stats.misses,
                awaited: stats.awaited,
                relayed: stats.relayed,
                damaged: stats.damaged,
                locked: stats.locked,
            },
            interrupted: stats.interrupted,
            relays: stats.relays,
            writes: RedisWrites {
                written: stats.written,
                saved_bytes: stats.saved_bytes,
                dropped: stats.dropped,
                queued: stats.queued,
                queued_bytes: stats.queued_bytes,
            },
            log: LogSnapshot {
                number: stats.log_number,
                lag_seconds: stats.log_lag.map(|lag| lag.as_secs_f64()),
                writable: stats.log_takes_purges,
                journaled: stats.journaled,
                refused: stats.log_refused,
                damaged: stats.log_damaged,
            },
            breaker: stats.breaker.into(),
            servers: servers.into_iter().map(server).collect(),
        }
    }
}

fn server(server: ServerInfo) -> RedisServer {
    RedisServer {
        address: server.address,
        version: server.version,
        policy: server.policy,
        used_memory: server.used_memory,
        max_memory: server.max_memory,
        role: server.role,
        uptime_seconds: server.uptime_seconds,
        resident_memory: server.resident_memory,
        clients: server.clients,
        keys: server.keys,
        evicted: server.evicted,
        expired: server.expired,
        commands: server.commands,
        keyspace_hits: server.keyspace_hits,
        keyspace_misses: server.keyspace_misses,
        rejected_connections: server.rejected_connections,
    }
}
