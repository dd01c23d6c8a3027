//! The memory tier, shared fetches, invalidations, and the process around them.

use std::fmt;

use prometheus_client::registry::Unit;

use super::families::{Families, labelled};
use super::limits;
use crate::snapshot::{InvalidationSnapshot, Snapshot, TierSnapshot};

pub(super) fn encode(snapshot: &Snapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let Snapshot { store, tiers, collapsing, recodings, usage, spending, invalidation, process, .. } = snapshot;
    let bytes = Some(&Unit::Bytes);
    for (name, help, unit, value) in [
        ("cache_entries", "Stored responses in memory.", None, store.entries),
        ("cache_stored", "Bytes of stored responses: keys, heads, bodies, bookkeeping.", bytes, store.stored_bytes),
        ("cache_capacity", "Bytes that stored responses may take.", bytes, store.capacity_bytes),
        ("invalidation_records", "Records of invalidations kept.", None, invalidation.records),
        ("invalidation_position", "The last position in the sequence of invalidations.", None, invalidation.position),
        ("fills_in_flight", "Fills under way.", None, collapsing.fills_in_flight),
        ("collapsed_waiting", "Requests that wait for another's fill to get its head.", None, collapsing.waiting),
        ("fill", "Bytes of bodies held for fills under way.", bytes, collapsing.fill_bytes),
        ("client_connections", "Open connections from clients.", None, process.client_connections),
        (
            "client_unsent",
            "Bytes of answers over HTTP/2 that were handed to their connections and not taken by clients yet.",
            bytes,
            process.client_unsent_bytes,
        ),
        ("runtime_tasks", "Tasks of the runtime that have not ended.", None, process.runtime_tasks),
    ] {
        families.gauge(name, help, unit, &value)?;
    }
    if let Some(packing) = &store.packing {
        let help = "Bytes of packed bodies that are whole now because clients read them.";
        families.gauge("cache_whole", help, bytes, &packing.whole_bytes)?;
        families.counter("cache_packed", "Bodies that were packed in memory.", packing.bodies)?;
        families.counter("cache_packed_saved_bytes", "Bytes of memory that packing has saved.", packing.saved_bytes)?;
    }
    families.counter("collapsed_followers", "Requests that shared another's fill.", collapsing.followers)?;
    let results = [("continued", collapsing.continued), ("differs", collapsing.differing), ("failed", collapsing.failed)];
    let results = results.map(|(result, count)| ([("result", result)], count));
    let help = "Answers that broke off in Redis or on disk and were asked for again from the start, by what became of them.";
    families.counters("asked_again", help, results)?;
    let help = "Limits of HTTP/2 that clients have reached, by what they sent too much of.";
    families.counters("http2_limits", help, labelled("limit", &process.http2_limits))?;
    let help = "Access log lines dropped because the log's reader was too slow, or because they could not be written.";
    families.counter("access_log_dropped", help, process.access_log_dropped)?;
    if let Some(traces) = &process.traces {
        let outcomes = [([("outcome", "exported")], traces.exported), ([("outcome", "dropped")], traces.dropped)];
        families.counters("trace_spans", "Spans of traces, by what became of them.", outcomes)?;
    }
    let causes = [("size", store.evictions.size), ("removed", store.evictions.removed), ("replaced", store.evictions.replaced)];
    let evictions = causes.map(|(cause, count)| ([("cause", cause)], count));
    families.counters("cache_evictions", "Stored responses dropped from memory, by cause.", evictions)?;
    let help = "Requests with the bypass parameter that were answered as without it, beyond the rate of their network.";
    families.counter("bypasses_refused", help, store.bypasses_refused)?;
    if !recodings.is_empty() {
        families.counters("recoded", "Answers whose content coding was changed, by what was done.", labelled("action", recodings))?;
    }
    limits::encode_usage(usage, families)?;
    limits::encode_spending(spending, families)?;
    encode_tiers(tiers, families)?;
    encode_invalidations(invalidation, families)
}

/// Where there are several of them: a single one has metrics of its own.
fn encode_tiers(tiers: &[TierSnapshot], families: &mut Families<'_, '_>) -> fmt::Result {
    if tiers.len() < 2 {
        return Ok(());
    }
    let by_result = tiers.iter().flat_map(|tier| {
        let results = [("hit", tier.hits), ("miss", tier.misses), ("failure", tier.failures)];
        results.map(|(result, count)| ([("tier", tier.name), ("result", result)], count))
    });
    families.counters("tier_lookups", "Look-ups in the tiers behind the memory.", by_result)?;
    let promotions = tiers.iter().map(|tier| ([("tier", tier.name)], tier.promotions));
    families.counters("tier_promotions", "Responses given to a tier because a farther one had them.", promotions)
}

fn encode_invalidations(invalidation: &InvalidationSnapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let by_target = labelled("kind", &invalidation.by_target);
    families.counters("invalidations", "What purges and writes made invalid, by kind of target.", by_target)?;
    let help = "How often records of invalidations had to make room: coarser ones cover them, or everything from before is old.";
    let folds = [("coarser", invalidation.folds.coarser), ("everything", invalidation.folds.everything)];
    families.counters("invalidation_folds", help, folds.map(|(into, count)| ([("into", into)], count)))?;
    let messages = labelled("outcome", &invalidation.messages);
    families.counters("invalidation_messages", "Messages on the Redis channel of invalidations.", messages)
}
