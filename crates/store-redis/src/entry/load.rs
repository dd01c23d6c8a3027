//! Look-ups.

use std::sync::Arc;

use bytes::Bytes;
use larder_store::codec::{Record, ResponseRecord, Unreadable, decode};
use larder_store::{FetchFailure, LeaseHolder, LoadRequest, Loaded, RemoteError, Variant};
use redis::Value;

use super::chunks;
use super::failure::read_failure;
use super::lease::PendingLease;
use super::relay::{Opened, open as open_relay};
use super::slices::slices;
use super::tier::Tier;
use super::watch;
use crate::link::{Lane, Operation};
use crate::scripts;
use crate::value::{EntryKey, Holder, MIN_OFFLOADED, Note, holder, is_sealed, millis, open, ordered, unpack};

/// How often a relay for another variant leads on to the request's own.
const MAX_TURNS: usize = 2;

/// The reply of the script.
enum LoadReply {
    Entry(Entry),
    Nothing,
    Granted,
    Awaited(Holder),
    Failed(FetchFailure),
}

/// An entry as it is stored.
struct Entry {
    head: Bytes,
    body: Option<Bytes>,
    note: Option<Bytes>,
    /// Milliseconds that the response has come to by Redis' clock, where its writer said how old it was.
    age: Option<u64>,
}

/// The entry for a request, or else the lease.
pub(crate) async fn load(tier: &Arc<Tier>, ask: LoadRequest<'_>) -> Result<Loaded, RemoteError> {
    let mut variant = ask.spec.map(|spec| Variant::of(spec.clone(), ask.request));
    // Relays of several variants may each lead on to another.
    let mut turns = 0..MAX_TURNS;
    loop {
        let entry_key = tier.entry_key(ask.key, variant.as_ref());
        let token = tier.next_token();
        // From here on the lease may be granted, whether the answer arrives or not.
        let lease = ask.lease.map(|terms| PendingLease::new(tier, entry_key.lease(), token, terms.term));
        let answer = script(tier, &entry_key, &ask, token).await;
        match (&answer, lease) {
            (Ok(LoadReply::Granted), Some(lease)) => return Ok(Loaded::Nothing(Some(lease.granted()))),
            (Ok(_) | Err(RemoteError::Open), Some(lease)) => lease.refused(),
            _ => {}
        }
        let entry = match answer? {
            LoadReply::Entry(entry) => entry,
            LoadReply::Nothing | LoadReply::Granted => return Ok(Loaded::Nothing(None)),
            LoadReply::Awaited(holder @ Holder { token, position, replica, relays }) => {
                let silent = replica.is_some_and(|replica| watch::is_silent(tier, token, replica));
                if relays && !silent {
                    match open_relay(tier, &entry_key.lease(), holder, &ask).await? {
                        Opened::Relayed(relayed) => return Ok(Loaded::Relayed(relayed)),
                        // The request waits for its own.
                        Opened::OtherVariant(own) if turns.next().is_some() => {
                            variant = Some(own);
                            continue;
                        }
                        Opened::OtherVariant(_) | Opened::Gone => {}
                    }
                }
                return Ok(Loaded::Awaited(LeaseHolder { token, position, silent }));
            }
            LoadReply::Failed(failure) => return Ok(Loaded::Failed(failure)),
        };
        let keys = tier.link.options().keys.as_ref();
        if keys.is_none() && is_sealed(&entry.head) {
            return Err(tier.locked(&entry_key));
        }
        let Some(frame) = open(keys, &entry_key.head(), entry.head) else { return Err(tier.locked(&entry_key)) };
        match decode(frame, ask.key, variant.as_ref()) {
            Ok(Record::Response(mut record)) => {
                // A writer's clock may be ahead of this one.
                if let (Some(age), Some(wall)) = (entry.age, tier.link.clocks().wall) {
                    record.is_at_least(age, wall());
                }
                return complete(tier, &entry_key, *record, entry.body, entry.note).await;
            }
            Ok(Record::Selecting(spec)) if variant.is_none() => variant = Some(Variant::of(spec, ask.request)),
            Err(Unreadable::Damaged) => return Err(tier.damaged(&entry_key)),
            // Of another key by a collision, or of another version: left alone, and superseded by the next commit.
            Ok(Record::Selecting(_)) | Err(Unreadable::OtherKey | Unreadable::OtherFormat) => return Ok(Loaded::Nothing(None)),
        }
    }
}

async fn script(tier: &Arc<Tier>, entry_key: &EntryKey, ask: &LoadRequest<'_>, token: u64) -> Result<LoadReply, RemoteError> {
    let terms = ask.lease;
    let (term, number) = terms.map_or((0, 0), |terms| (millis(terms.term), terms.position.log_number()));
    let text = |token: Option<u64>| token.map(|token| token.to_string()).unwrap_or_default();
    let lease = entry_key.lease();
    let call = scripts::LOAD.call().key(entry_key.entry()).key(lease.as_str()).key(EntryKey::failure(&lease));
    let call = call.arg(ordered(ask.newer_than)).arg(token).arg(term).arg(number).arg(text(terms.and_then(|terms| terms.instead_of)));
    let call = call.arg(tier.heartbeat.replica()).arg(text(ask.awaited));
    let call = &call;
    let work = |mut connection| async move { call.invoke::<Vec<Value>>(&mut connection).await };
    let answer = tier.link.run(Operation::Load, Lane::Small, work).await?;
    parse(answer).ok_or_else(|| tier.damaged(entry_key))
}

fn parse(answer: Vec<Value>) -> Option<LoadReply> {
    let mut values = answer.into_iter().map(|value| match value {
        Value::BulkString(bytes) => Some(Bytes::from(bytes)),
        _ => None,
    });
    match values.next()??.as_ref() {
        b"entry" => Some(LoadReply::Entry(Entry {
            head: values.next()??,
            body: values.next().flatten(),
            note: values.next().flatten(),
            age: values.next().flatten().and_then(|age| std::str::from_utf8(&age).ok()?.parse().ok()),
        })),
        b"nothing" => Some(LoadReply::Nothing),
        b"granted" => Some(LoadReply::Granted),
        b"awaited" => holder(&values.next()??).map(LoadReply::Awaited),
        // An entry of a later version is no failure to share.
        b"failed" => Some(read_failure(&values.next()??).map_or(LoadReply::Nothing, LoadReply::Failed)),
        _ => None,
    }
}

/// With the body, which is in the entry or beside it.
async fn complete(
    tier: &Arc<Tier>,
    entry_key: &EntryKey,
    record: ResponseRecord,
    body: Option<Bytes>,
    note: Option<Bytes>,
) -> Result<Loaded, RemoteError> {
    let length = record.body().length;
    if length > tier.link.options().max_object {
        return Ok(Loaded::Nothing(None));
    }
    let stored = match note.as_deref().map(Note::parse) {
        None => length,
        Some(Some(Note::Zstd { length })) => length,
        Some(Some(Note::Chunks { lengths })) if lengths.len() as u64 == record.body().chunks() => {
            let begun = chunks::begin(tier, entry_key, record, &lengths).await?;
            return Ok(begun.map_or(Loaded::Nothing(None), Loaded::Arriving));
        }
        Some(Some(Note::Chunks { .. })) => return Err(tier.damaged(entry_key)),
        // A later version's way: left alone, and superseded by the next commit.
        Some(None) => return Ok(Loaded::Nothing(None)),
    };
    let compressed = note.is_some();
    if stored > length {
        return Err(tier.damaged(entry_key));
    }
    let segments = match body {
        Some(body) => match open(tier.link.options().keys.as_ref(), &entry_key.body(), body) {
            Some(body) if body.is_empty() => Some(Vec::new()),
            body => body.map(|body| vec![body]),
        },
        None => match slices(tier, entry_key, record.body_fetch(), stored).await? {
            Some(segments) => segments.into_iter().collect(),
            // A slice was evicted, or replaced by those of a newer body: that is no fault.
            None => return Ok(Loaded::Nothing(None)),
        },
    };
    let Some(segments) = segments else { return Err(tier.locked(entry_key)) };
    let segments = match compressed {
        false => Some(segments),
        true if length < MIN_OFFLOADED => unpack(&segments, length),
        true => tokio::task::spawn_blocking(move || unpack(&segments, length)).await.ok().flatten(),
    };
    match segments.map(|segments| record.complete(segments)) {
        Some(Ok(response)) => Ok(Loaded::Response(Arc::new(response))),
        _ => Err(tier.damaged(entry_key)),
    }
}
