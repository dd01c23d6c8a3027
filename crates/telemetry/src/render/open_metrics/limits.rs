//! Clients: their limits, their tokens, and what models cost them.

use std::fmt;

use super::families::Families;
use crate::snapshot::{LimitSnapshot, SpendingSnapshot, TokensSnapshot, UsageSnapshot};

pub(super) fn encode(limits: &[LimitSnapshot], families: &mut Families<'_, '_>) -> fmt::Result {
    if limits.is_empty() {
        return Ok(());
    }
    let counts = |limit: &LimitSnapshot| limit.requests.iter().map(|counted| (counted.label, counted.count)).collect::<Vec<_>>();
    let all: Vec<_> = limits.iter().flat_map(|limit| counts(limit).into_iter().map(|count| (&*limit.limit, count))).collect();
    let requests = all.iter().map(|(limit, (outcome, count))| ([("limit", *limit), ("outcome", *outcome)], *count));
    families.counters("limit_requests", "Requests that a limit holds for, by what became of them.", requests)?;
    let keys = limits.iter().map(|limit| ([("limit", &*limit.limit)], limit.keys));
    families.gauges("limit_keys", "Clients that a limit knows.", None, keys)?;
    let alone = limits.iter().filter_map(|limit| Some(([("limit", &*limit.limit)], limit.alone?)));
    families.counters("limit_alone", "Requests that a shared limit decided about without Redis, by its share of what was left.", alone)?;
    let charged = limits.iter().filter_map(|limit| Some(([("limit", &*limit.limit)], limit.charged?.as_f64())));
    families.counters("limit_charged", "Bytes, tokens or cost that a limit has charged clients for.", charged)?;
    let silent = limits.iter().filter_map(|limit| Some(([("limit", &*limit.limit)], limit.silent?)));
    families.counters("limit_silent", "Answers without the tokens or the price that a limit counts, which were free.", silent)?;
    let warnings = limits.iter().filter_map(|limit| Some(([("limit", &*limit.limit)], limit.warnings?)));
    families.counters("limit_warnings", "Clients that have used the share of a quota at which people are warned.", warnings)
}

pub(super) fn encode_tokens(tokens: &TokensSnapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let checked = tokens.checked.iter().map(|counted| ([("outcome", counted.label)], counted.count));
    families.counters(
        "token_checks",
        "Bearer tokens that were checked, by what was found; those that are remembered are not checked again.",
        checked,
    )?;
    families.gauge("tokens_remembered", "Bearer tokens that are remembered as verified.", None, &tokens.remembered)?;
    families.gauge("token_keys", "Keys that bearer tokens may be signed with.", None, &tokens.keys)?;
    let Some(fetches) = &tokens.fetches else { return Ok(()) };
    let outcomes = [([("outcome", "ok")], fetches.ok), ([("outcome", "failed")], fetches.failed)];
    families.counters("token_key_fetches", "Fetches of keys for bearer tokens.", outcomes)?;
    let help = "Fetches of keys for bearer tokens that have failed since the last one that brought keys.";
    families.gauge("token_keys_failing", help, None, &fetches.failed_in_a_row)?;
    let help = "When keys for bearer tokens were last fetched, in seconds since 1970.";
    families.gauge("token_keys_last_success_seconds", help, None, &fetches.last_success_seconds)
}

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
