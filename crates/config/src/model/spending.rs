//! `[spending]`: how it is told what tokens of models have cost and what stored answers have saved.

use jiff::tz::TimeZone;

/// What is kept of it, today and this month.
#[derive(Clone, Debug, PartialEq)]
pub struct Spending {
    /// Where days and months begin at midnight.
    pub zone: TimeZone,
    /// Routes, clients and models that are told apart; beyond it the smallest sums become one.
    pub max_rows: usize,
}

impl Default for Spending {
    fn default() -> Self {
        Self { zone: TimeZone::UTC, max_rows: 10_000 }
    }
}
