//! Operations on the tiers behind the memory.

use serde::Serialize;

use super::{LabelledCount, LatencySnapshot};

/// One kind of operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperationSnapshot {
    /// Its name: `load`, `commit`, ….
    pub operation: &'static str,
    /// How long it took, waiting for its turn included.
    pub latency: LatencySnapshot,
    /// Failures since the start, by kind. Kinds that never happened are left out.
    pub errors: Vec<LabelledCount>,
}
