//! Tokens that answers of models have cost, and those that stored answers have saved.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::snapshot::UsageSnapshot;

/// Combinations of a route, a model and an outcome that are counted apart: clients may name any number of models.
const MAX_COUNTED: usize = 200;

/// In place of the names of further models, and of none.
const OTHER: &str = "other";

/// What became of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageOutcome {
    /// A provider has counted them.
    Spent,
    /// A stored answer has them, which was given once more.
    Saved,
}

/// The cost of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UsageRecord<'a> {
    /// The model's name, where it is known.
    pub model: Option<&'a str>,
    /// Tokens of the request.
    pub input: u64,
    /// Tokens of the answer.
    pub output: u64,
    /// Its price, where the model has one.
    pub price: Option<f64>,
}

/// All of them since the start, by route, model and outcome.
#[derive(Debug, Default)]
pub(super) struct Usages(Mutex<BTreeMap<Label, Total>>);

type Label = (Arc<str>, Arc<str>, UsageOutcome);

#[derive(Clone, Copy, Debug, Default)]
struct Total {
    input: u64,
    output: u64,
    price: Option<f64>,
}

impl Usages {
    /// Counts one answer. Models take so long for an answer that a lock does not matter here.
    pub(super) fn count(&self, route: &Arc<str>, outcome: UsageOutcome, record: &UsageRecord<'_>) {
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let label = |model: &str| -> Label { (Arc::clone(route), model.into(), outcome) };
        let mut wanted = label(record.model.unwrap_or(OTHER));
        if totals.len() >= MAX_COUNTED && !totals.contains_key(&wanted) {
            wanted = label(OTHER);
        }
        let total = totals.entry(wanted).or_default();
        total.input = total.input.saturating_add(record.input);
        total.output = total.output.saturating_add(record.output);
        if let Some(price) = record.price {
            total.price = Some(total.price.unwrap_or_default() + price);
        }
    }

    pub(super) fn snapshot(&self) -> Vec<UsageSnapshot> {
        let totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = |((route, model, outcome), total): (&Label, &Total)| UsageSnapshot {
            route: route.to_string(),
            model: model.to_string(),
            outcome: match outcome {
                UsageOutcome::Spent => "spent",
                UsageOutcome::Saved => "saved",
            },
            input: total.input,
            output: total.output,
            price: total.price,
        };
        totals.iter().map(snapshot).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_cannot_make_any_number_of_models() {
        let usages = Usages::default();
        let route: Arc<str> = "a".into();
        for number in 0..1000 {
            let name = format!("model-{number}");
            usages.count(&route, UsageOutcome::Spent, &UsageRecord { model: Some(&name), input: 1, output: 2, price: Some(0.5) });
        }
        let all = usages.snapshot();
        assert_eq!(all.len(), MAX_COUNTED + 1);
        assert_eq!(all.iter().map(|one| one.input).sum::<u64>(), 1000);
        let other = all.iter().find(|one| one.model == OTHER).expect("the others");
        assert_eq!((other.input, other.output, other.price), (800, 1600, Some(400.0)));
    }
}
