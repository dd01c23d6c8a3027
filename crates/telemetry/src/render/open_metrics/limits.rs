//! Limits of clients.

use std::fmt;

use super::families::Families;
use crate::snapshot::LimitSnapshot;

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
    families.counters("limit_alone", "Requests that a shared limit decided about without Redis, by its share of what was left.", alone)
}
