//! What tokens of models have cost and saved, today and this month.

use serde::Serialize;

use super::UsageSnapshot;

/// One window of the calendar.
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
