//! Limits of clients, and what models have cost and saved.

use super::super::endpoints::Shared;
use super::super::stats::TOP;
use super::blocks::{Block, Cell, number, short, text};
use crate::config::Amount;
use crate::limits::LimitReport;
use crate::spending::{Filter, SpendingRow, SpendingWindow, Sum, client_name};

/// Each limit, then today and this month by route, client and model.
pub(super) fn blocks(shared: &Shared) -> Vec<Block> {
    let active = shared.gateway.active.load();
    let limits: Vec<LimitReport> = active.limits.all().iter().map(|limit| limit.report()).collect();
    let heads = ["Limit", "Gives", "Clients", "Admitted", "Delayed", "Stale", "Refused", "Observed"];
    let note = if limits.is_empty() { "There are none: [[limits]] and [[quotas]] of the configuration." } else { "" };
    let mut blocks = vec![Block::new("limits", "Limits", &heads).note(note).rows(limits.iter().map(limit))];
    let spending = active.spending.report(&Filter::default(), TOP);
    if spending.windows.is_empty() {
        let note = "No model has answered this month.";
        blocks.push(Block::new("spending", "Spent and saved", &[]).note(note));
    }
    blocks.extend(spending.windows.iter().flat_map(|window| of_window(window, &spending.timezone)));
    blocks
}

fn limit(limit: &LimitReport) -> Vec<Cell> {
    let mut row = vec![text(limit.name.clone()), text(limit.gives()), number(limit.clients)];
    row.extend(["admitted", "delayed", "stale", "refused", "observed"].map(|outcome| match (outcome, limit.outcome(outcome)) {
        ("refused", count @ 1..) => Cell { class: "bad num", ..number(count) },
        (_, count) => number(count),
    }));
    row
}

fn of_window(window: &SpendingWindow, timezone: &str) -> Vec<Block> {
    let when = if window.per == "day" { "today" } else { "this month" };
    let Sum { price: spent, .. } = window.sums.spent;
    let Sum { price: saved, .. } = window.sums.saved;
    let tokens = |sum: &Sum| short(sum.tokens() as f64);
    let note = format!(
        "{} tokens spent ({}), {} saved by stored answers ({}); until {}, {timezone}.",
        tokens(&window.sums.spent),
        money(spent),
        tokens(&window.sums.saved),
        money(saved),
        window.ends_at
    );
    let block = |kind: &str, head: &'static str, rows: &[SpendingRow]| {
        let heads = [head, "Answers", "Tokens spent", "Price", "From the store", "Tokens saved", "Price saved"];
        let title = format!("Models {when} by {}", head.to_lowercase());
        Block::new(&format!("spending-{}-{kind}", window.per), &title, &heads).rows(rows.iter().map(row))
    };
    vec![
        block("routes", "Route", &window.routes).note(note),
        block("clients", "Client", &window.clients),
        block("models", "Model", &window.models),
    ]
}

fn row(row: &SpendingRow) -> Vec<Cell> {
    let client = row.client.as_deref().map(client_name);
    let name = client.or(row.route.as_deref()).or(row.model.as_deref()).unwrap_or_default();
    let cells = |sum: &Sum| [number(sum.answers), number(sum.tokens()), number(money(sum.price))];
    std::iter::once(text(name)).chain(cells(&row.sums.spent)).chain(cells(&row.sums.saved)).collect()
}

/// A sum in the currency of the prices; a dash where nothing has a price.
pub(super) fn money(price: Option<f64>) -> String {
    price.map_or_else(|| "–".to_owned(), |price| Amount::Sum(price).to_string())
}
