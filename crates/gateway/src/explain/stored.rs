//! What is stored, as people read it.

use larder_semantics::{StoredHead, Timestamp};
use larder_store::{Slot, StoredResponse};
use larder_tower::Cache;

use super::report::StoredReport;

/// One slot; `None` for the index of variants, which have slots of their own. `names` are the surrogate keys that are known by name.
pub(crate) fn stored_report(cache: &Cache, slot: &Slot, names: impl FnOnce(&StoredResponse) -> Vec<String>) -> Option<StoredReport> {
    let now = cache.now();
    match slot {
        Slot::Response(stored) => {
            let valid = cache.is_valid(stored);
            let tags = names(stored);
            let report = StoredReport {
                kind: "response".to_owned(),
                variant: stored.variant().map(|variant| variant.secondary.text().to_owned()).unwrap_or_default(),
                bytes: stored.body_length(),
                weight: stored.weight() as u64,
                hashed_tags: stored.tags().iter().count().saturating_sub(tags.len()),
                tags,
                hits: stored.uses(),
                state: state(&stored.head, now, valid, stored.is_softened()).to_owned(),
                goes: goes(&stored.head, now, valid),
                ..StoredReport::default()
            };
            Some(with_head(report, &stored.head, now))
        }
        Slot::Partial(part) => {
            let report = StoredReport {
                kind: "part".to_owned(),
                variant: part.variant.as_ref().map(|variant| variant.secondary.text().to_owned()).unwrap_or_default(),
                bytes: part.meta.coverage.ranges().iter().map(|range| range.length()).sum(),
                weight: slot.weight() as u64,
                state: state(&part.meta.head, now, true, false).to_owned(),
                goes: goes(&part.meta.head, now, true),
                ..StoredReport::default()
            };
            Some(with_head(report, &part.meta.head, now))
        }
        Slot::HitForMiss(mark) => {
            let left = mark.until.seconds_since(now);
            let goes = format!("its answers cannot be shared, so requests do not wait for each other; that is forgotten in {left} s");
            let state = if left > 0 { "marked" } else { "stale" }.to_owned();
            Some(StoredReport { kind: "mark".to_owned(), weight: slot.weight() as u64, state, goes, ..StoredReport::default() })
        }
        Slot::Vary(_) => None,
    }
}

fn with_head(report: StoredReport, head: &StoredHead, now: Timestamp) -> StoredReport {
    let text = |value: Option<http::HeaderValue>| value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let lifetime = head.lifetime;
    StoredReport {
        status: head.status.as_u16(),
        age: head.age(now),
        lifetime: lifetime.seconds,
        lifetime_from: { lifetime.source }.words().to_owned(),
        ttl: head.ttl(now),
        stale_while_revalidate: head.stale_while_revalidate,
        stale_if_error: head.stale_if_error,
        must_revalidate: head.must_revalidate(),
        no_cache: head.no_cache(),
        etag: text(head.etag()),
        last_modified: text(head.last_modified()),
        stored_at: head.response_time.as_millis() / 1000,
        ..report
    }
}

fn state(head: &StoredHead, now: Timestamp, valid: bool, softened: bool) -> &'static str {
    match head.staleness(now) {
        _ if !valid => "purged",
        _ if softened => "soft-purged",
        None => "fresh",
        Some(_) => "stale",
    }
}

/// When it stops being of use, and by what.
fn goes(head: &StoredHead, now: Timestamp, valid: bool) -> String {
    if !valid {
        return "it was invalidated, and is removed when it is next asked for or its room is needed".to_owned();
    }
    let room = "it goes when its room is needed, or by a purge";
    let window = head.stale_while_revalidate.max(head.stale_if_error);
    match head.ttl(now) {
        ttl if ttl > 0 => format!("fresh for {ttl} s more; then {room}"),
        ttl if ttl + i64::from(window) > 0 => format!("stale, and of use for {} s more; then {room}", ttl + i64::from(window)),
        _ if head.has_validator() => format!("stale, and kept to be validated; {room}"),
        _ => format!("stale; {room}"),
    }
}
