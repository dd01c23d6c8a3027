//! `[purge]`.

use std::ops::Range;
use std::time::Duration;

use crate::model::TokenScope;
use crate::model::{Admin, Purge};
use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;
use crate::sections::cache::{items, network};

/// Longer than any living replica needs.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Reads the section; the tokens that public purges need are those of `[admin]`. Replicas have a log in common, and channels, where there `is_redis`.
pub(crate) fn read(root: &mut Table<'_>, admin: &Admin, is_redis: bool) -> Purge {
    let mut purge = Purge::default();
    let Some(mut table) = root.table("purge") else { return purge };
    if let Some(networks) = table.list("public_from", "networks in quotes, like \"10.0.0.0/8\"", network) {
        let span = networks.span();
        purge.public_from = items(networks);
        if !purge.public_from.is_empty() && !admin.tokens.iter().any(|token| token.allows(TokenScope::Purge)) {
            let mistake = Mistake::new("`public_from` lets clients purge, but there is no token that allows it");
            table.mistakes().error(span, mistake.hint("add [[admin.tokens]] with scopes = [\"purge\"]"));
        }
    }
    if let Some(max) = table.integer("max_targets", 1..=100_000).and_then(|max| usize::try_from(max).ok()) {
        purge.max_targets = max;
    }
    if let Some(regex) = table.boolean("regex") {
        purge.regex = regex;
    }
    if let Some(max) = table.integer("max_refreshes", 0..=1_000_000) {
        purge.max_refreshes = max;
    }
    if let Some(wait) = table.duration("write_wait") {
        if *wait.get_ref() > MAX_WAIT {
            let mistake =
                Mistake::new("`write_wait` is longer than 10s").hint("a replica that is cut off would hold up each write so long");
            table.mistakes().error(wait.span(), mistake);
        }
        if !is_redis && !wait.get_ref().is_zero() {
            needs_redis(&table, "write_wait", wait.span());
        }
        purge.write_wait = wait.into_inner();
    }
    if let Some(channel) = table.parse("channel", "a name in quotes, like \"system:cache_invalidation\"", channel) {
        if !is_redis && channel.get_ref().is_some() && *channel.get_ref() != purge.channel {
            needs_redis(&table, "channel", channel.span());
        }
        purge.channel = channel.into_inner();
    }
    table.finish();
    purge
}

/// Warns of a key that has no effect.
pub(crate) fn needs_redis(table: &Table<'_>, key: &str, span: Range<usize>) {
    let mistake = Mistake::new(format!("`{key}` has no effect: there is no [store.redis]"));
    table.mistakes().warning(span, mistake.hint("add [store.redis] with its url, or leave it out"));
}

/// The name of a channel in Redis; empty for none.
pub(crate) fn channel(text: &str) -> Result<Option<String>, Mistake> {
    if text.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
        return Err(Mistake::new(format!("`{}` is not the name of a channel", text.escape_debug())).hint("one word, or \"\" for none"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}
