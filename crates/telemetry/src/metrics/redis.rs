//! What is counted for the tier in Redis.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_redis::{Operation, RedisObserver};
use larder_store::RemoteError;

use super::histogram::{Histogram, HistogramSum};

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
    /// The latency of each operation, by its label value.
    pub(super) fn latencies(&self) -> impl Iterator<Item = (&'static str, HistogramSum)> {
        Operation::ALL
            .iter()
            .zip(&self.latency)
            .map(|(operation, histogram)| (operation.as_str(), HistogramSum::of([histogram].into_iter())))
    }

    /// Failures by operation and kind, by their label values; those that happened.
    pub(super) fn errors(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let cells = Operation::ALL.iter().zip(&self.errors);
        cells.flat_map(|(operation, cells)| {
            let counted = ERRORS.iter().zip(cells).map(|(error, cell)| (operation.as_str(), *error, cell.load(Ordering::Relaxed)));
            counted.filter(|(_, _, count)| *count > 0)
        })
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
        assert_eq!(metrics.errors().collect::<Vec<_>>(), [("load", "timeout", 1)]);
        assert_eq!(metrics.latencies().map(|(name, sum)| (name, sum.count())).next(), Some(("load", 2)));
    }
}
