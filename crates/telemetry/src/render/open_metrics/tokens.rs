//! Tokens of clients.

use std::fmt;

use super::families::Families;
use crate::snapshot::TokensSnapshot;

pub(super) fn encode(tokens: &TokensSnapshot, families: &mut Families<'_, '_>) -> fmt::Result {
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
    let help = "When keys for bearer tokens were last fetched, in seconds since 1970.";
    families.gauge("token_keys_last_success_seconds", help, None, &fetches.last_success_seconds)
}
