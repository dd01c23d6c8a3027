//! Counters of the tier in Redis.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_redis::{Operation, RedisObserver, RedisStats, ServerInfo};
use larder_store::RemoteError;

use super::histogram::{self, Histogram};
use crate::snapshot::{LabelledCount, LogSnapshot, OperationSnapshot, RedisLookups, RedisServer, RedisSnapshot, RedisWrites};

const OPERATIONS: usize = Operation::ALL.len();

/// The kinds of errors, by their label value.
const ERRORS: [&str; 4] = ["timeout", "connection", "refused", "other"];

fn error_index(error: RemoteError) -> usize {
    match error {
        RemoteError::Timeout => 0,
        RemoteError::Connection => 1,
        RemoteError::Refused => 2,
        RemoteError::Open | RemoteError::Damaged | RemoteError::Incomplete | RemoteError::Unvouched => 3,
    }
}

/// Operations by how long they took and how they failed. Rare beside requests, so the cells are shared.
#[derive(Debug, Default)]
pub struct RedisMetrics {
    latency: [Histogram; OPERATIONS],
    errors: [[AtomicU64; ERRORS.len()]; OPERATIONS],
}

impl RedisObserver for RedisMetrics {
    fn operation(&self, operation: Operation, outcome: Result<(), RemoteError>, elapsed: Duration) {
        let Some(index) = Operation::ALL.iter().position(|known| *known == operation) else { return };
        self.latency[index].observe(elapsed);
        if let Err(error) = outcome {
            self.errors[index][error_index(error)].fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl RedisMetrics {
    /// Figures counted here, with those that the tier and its servers report.
    pub fn snapshot(&self, stats: &RedisStats, servers: Vec<ServerInfo>) -> RedisSnapshot {
        RedisSnapshot {
            operations: self.operations().collect(),
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

    fn operations(&self) -> impl Iterator<Item = OperationSnapshot> {
        Operation::ALL.iter().zip(&self.latency).zip(&self.errors).map(|((operation, latency), errors)| {
            let errors = ERRORS.iter().zip(errors).map(|(label, cell)| LabelledCount { label, count: cell.load(Ordering::Relaxed) });
            OperationSnapshot {
                operation: operation.as_str(),
                latency: histogram::sum(std::iter::once(latency)),
                errors: errors.filter(|error| error.count > 0).collect(),
            }
        })
    }
}

fn server(server: ServerInfo) -> RedisServer {
    RedisServer {
        address: server.address,
        version: server.version,
        policy: server.policy,
        used_memory: server.used_memory,
        max_memory: server.max_memory,
        evicted: server.evicted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_counted_with_its_time_and_its_failure() {
        let metrics = RedisMetrics::default();
        metrics.operation(Operation::Load, Ok(()), Duration::from_micros(80));
        metrics.operation(Operation::Load, Err(RemoteError::Timeout), Duration::from_millis(50));
        let operations: Vec<_> = metrics.operations().collect();
        assert_eq!((operations[0].operation, operations[0].latency.count), ("load", 2));
        assert_eq!(operations[0].errors, [LabelledCount { label: "timeout", count: 1 }]);
        assert!(operations[1..].iter().all(|operation| operation.latency.count == 0 && operation.errors.is_empty()));
    }
}
