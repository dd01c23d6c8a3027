//! Limits of clients, and what they spend.

use larder_config::Amount;
use serde::Serialize;

use super::{LabelledCount, UsageSnapshot};

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

/// What tokens of models have cost and saved in one window of the calendar.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SpendingSnapshot {
    /// `day` or `month`.
    pub window: &'static str,
    /// By route and model.
    pub models: Vec<UsageSnapshot>,
    /// By client: those with the largest sums, and all others together.
    pub clients: Vec<ClientSpending>,
}

/// One client of a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClientSpending {
    /// As the keys of limits are written.
    pub client: String,
    /// `spent`, or `saved` by stored answers.
    pub outcome: &'static str,
    /// Of requests and answers.
    pub tokens: u64,
    /// What they cost by `[prices]`, where any of their models has one.
    pub price: Option<f64>,
}
