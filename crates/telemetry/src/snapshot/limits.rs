//! Limits of clients.

use serde::Serialize;

use super::LabelledCount;

/// One limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LimitSnapshot {
    /// Its name.
    pub limit: String,
    /// Requests that it holds for since the start, by what became of them.
    pub requests: Vec<LabelledCount>,
    /// Clients that it knows now.
    pub keys: u64,
    /// Requests that this replica has decided about without Redis, where replicas count together.
    pub alone: Option<u64>,
}
