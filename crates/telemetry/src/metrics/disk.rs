//! Operations of the tier on disk.

use std::time::Duration;

use larder_disk::{DiskObserver, DiskOperation};
use larder_store::RemoteError;

use super::operations::Operations;
use crate::snapshot::OperationSnapshot;

/// Operations by how long they took and how they failed.
#[derive(Debug, Default)]
pub struct DiskMetrics(Operations<{ DiskOperation::ALL.len() }>);

impl DiskObserver for DiskMetrics {
    fn operation(&self, operation: DiskOperation, outcome: Result<(), RemoteError>, elapsed: Duration) {
        self.0.count(operation as usize, outcome, elapsed);
    }
}

impl DiskMetrics {
    /// Every kind of operation.
    pub fn operations(&self) -> Vec<OperationSnapshot> {
        self.0.snapshot(DiskOperation::ALL.map(DiskOperation::as_str))
    }
}
