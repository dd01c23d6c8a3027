//! Operations on a tier behind the memory, by how long they took and how they failed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_store::RemoteError;

use super::histogram::{self, Histogram};
use crate::snapshot::{LabelledCount, OperationSnapshot};

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

/// One set of cells for each kind of operation. Operations are rare beside requests, so threads share the cells.
#[derive(Debug)]
pub(super) struct Operations<const N: usize>([Cells; N]);

#[derive(Debug, Default)]
struct Cells {
    latency: Histogram,
    errors: [AtomicU64; ERRORS.len()],
}

impl<const N: usize> Default for Operations<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Cells::default()))
    }
}

impl<const N: usize> Operations<N> {
    /// Counts one of the kind with this index.
    pub(super) fn count(&self, index: usize, outcome: Result<(), RemoteError>, elapsed: Duration) {
        let Some(cells) = self.0.get(index) else { return };
        cells.latency.observe(elapsed);
        if let Err(error) = outcome {
            cells.errors[error_index(error)].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The figures, with the names of the kinds.
    pub(super) fn snapshot(&self, names: [&'static str; N]) -> Vec<OperationSnapshot> {
        let operations = names.into_iter().zip(&self.0).map(|(operation, cells)| {
            let errors = ERRORS.iter().zip(&cells.errors).map(|(label, cell)| LabelledCount { label, count: cell.load(Ordering::Relaxed) });
            OperationSnapshot {
                operation,
                latency: histogram::sum(std::iter::once(&cells.latency)),
                errors: errors.filter(|error| error.count > 0).collect(),
            }
        });
        operations.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_counted_with_its_time_and_its_failure() {
        let operations = Operations::<2>::default();
        operations.count(0, Ok(()), Duration::from_micros(80));
        operations.count(0, Err(RemoteError::Timeout), Duration::from_millis(50));
        let [load, other] = &operations.snapshot(["load", "other"])[..] else { panic!("two kinds") };
        assert_eq!((load.operation, load.latency.count), ("load", 2));
        assert_eq!(load.errors, [LabelledCount { label: "timeout", count: 1 }]);
        assert!(other.latency.count == 0 && other.errors.is_empty());
    }
}
