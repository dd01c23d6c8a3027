//! Clients: their limits, and their tokens.

use std::fmt;

use super::families::Families;
use crate::snapshot::{LimitSnapshot, TokensSnapshot};

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
