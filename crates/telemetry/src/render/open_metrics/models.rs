//! Tokens of models: since the start, and of the running day and month.

use std::fmt;

use super::families::Families;
use crate::snapshot::{SpendingSnapshot, UsageSnapshot};

/// Left out where no model has answered.
pub(super) fn encode_usage(usage: &[UsageSnapshot], families: &mut Families<'_, '_>) -> fmt::Result {
    if usage.is_empty() {
        return Ok(());
    }
    let tokens = usage.iter().flat_map(|one| {
        let with = |direction| [("route", &*one.route), ("model", &*one.model), ("outcome", one.outcome), ("direction", direction)];
        [(with("input"), one.input), (with("output"), one.output)]
    });
    families.counters("model_tokens", "Tokens that answers of models have cost, and that stored answers have saved.", tokens)?;
    if usage.iter().all(|one| one.price.is_none()) {
        return Ok(());
    }
    let priced = usage.iter().filter_map(|one| {
        let labels = [("route", &*one.route), ("model", &*one.model), ("outcome", one.outcome)];
        Some((labels, one.price?))
    });
    families.counters("model_price", "What these tokens cost by [prices].", priced)
}

/// Left out where no model has answered, and prices where none is known.
pub(super) fn encode_spending(windows: &[SpendingSnapshot], families: &mut Families<'_, '_>) -> fmt::Result {
    if windows.is_empty() {
        return Ok(());
    }
    let models = || windows.iter().flat_map(|window| window.models.iter().map(|one| (window.window, one)));
    let clients = || windows.iter().flat_map(|window| window.clients.iter().map(|one| (window.window, one)));
    let tokens = models().flat_map(|(window, one)| {
        let with = |direction| {
            [("window", window), ("route", &*one.route), ("model", &*one.model), ("outcome", one.outcome), ("direction", direction)]
        };
        [(with("input"), one.input), (with("output"), one.output)]
    });
    let help = "Tokens that answers of models have cost and stored answers have saved in the running day and month.";
    families.gauges("spending_tokens", help, None, tokens)?;
    let of_clients = clients().map(|(window, one)| ([("window", window), ("client", &*one.client), ("outcome", one.outcome)], one.tokens));
    families.gauges("spending_client_tokens", "The same by client, of the fifty with the largest sums.", None, of_clients)?;
    let priced = models().filter_map(|(window, one)| {
        let labels = [("window", window), ("route", &*one.route), ("model", &*one.model), ("outcome", one.outcome)];
        Some((labels, one.price?))
    });
    let priced: Vec<_> = priced.collect();
    if priced.is_empty() {
        return Ok(());
    }
    families.gauges("spending_price", "What these tokens cost by [prices].", None, priced)?;
    let of_clients = clients().filter_map(|(window, one)| {
        let labels = [("window", window), ("client", &*one.client), ("outcome", one.outcome)];
        Some((labels, one.price?))
    });
    families.gauges("spending_client_price", "What the tokens of these clients cost by [prices].", None, of_clients)
}
