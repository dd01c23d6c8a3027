//! Limits of clients.

use larder_config::Amount;
use serde::Serialize;

use super::LabelledCount;

/// One limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LimitSnapshot {
    /// Its name.
    pub limit: String,
    /// Requests that it holds for since the start, by what became of them.
    pub requests: Vec<LabelledCount>,
    /// Clients that it knows now.
    pub keys: u64,
    /// Requests that this replica has decided about without Redis, where replicas count together.
    pub alone: Option<u64>,
    /// What clients were charged for once it was known, where that is counted.
    pub charged: Option<Amount>,
    /// Answers of models that did not say what is counted, where that is.
    pub silent: Option<u64>,
    /// Clients and windows that people were warned of, where it is a quota's.
    pub warnings: Option<u64>,
}
