//! Sums of tokens and money.

use serde::{Deserialize, Serialize};

use crate::telemetry::metrics::UsageOutcome;

/// Answers of models, with their tokens and what these cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub(crate) answers: u64,
    /// Tokens of requests.
    pub(crate) input: u64,
    /// Tokens of answers.
    pub(crate) output: u64,
    /// By `[prices]`, of the models that have one there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) price: Option<f64>,
}

/// What was spent, and what stored answers have saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub(crate) spent: Sum,
    pub(crate) saved: Sum,
}

impl Sum {
    /// One answer.
    pub(crate) fn of_answer(input: u64, output: u64, price: Option<f64>) -> Self {
        Self { answers: 1, input, output, price }
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.answers = self.answers.saturating_add(more.answers);
        self.input = self.input.saturating_add(more.input);
        self.output = self.output.saturating_add(more.output);
        if let Some(price) = more.price {
            self.price = Some(self.price.unwrap_or_default() + price);
        }
    }
}

impl Sums {
    pub(super) fn add(&mut self, more: &Self) {
        self.spent.add(&more.spent);
        self.saved.add(&more.saved);
    }

    pub(super) fn of(&mut self, outcome: UsageOutcome) -> &mut Sum {
        match outcome {
            UsageOutcome::Spent => &mut self.spent,
            UsageOutcome::Saved => &mut self.saved,
        }
    }

    /// By which rows are ordered: money first, for that is what people look for, then tokens.
    pub(super) fn weight(&self) -> (f64, u64) {
        let price = |sum: &Sum| sum.price.unwrap_or_default();
        (price(&self.spent) + price(&self.saved), self.spent.tokens().saturating_add(self.saved.tokens()))
    }
}
