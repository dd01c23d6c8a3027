//! Writes, one by one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_redis_options::Compression;
use larder_semantics::Timestamp;
use larder_store::codec::{encode, encode_selecting};
use larder_store::{Lease, RemoteError, SEGMENT, StoredResponse, Write};

use super::chunks;
use super::leftovers::{self, Life};
use super::queue::Removal;
use super::tier::Tier;
use crate::link::{Lane, Operation};
use crate::scripts;
use crate::value::{EntryKey, MIN_OFFLOADED, Note, Packed, is_worth_compressing, millis, ordered, pack, seal};

/// Bodies from this length on take the other connection.
const BULK: u64 = 64 << 10;

/// How long a removal holds off writes of what was removed: longer than one takes that waits behind a whole queue, on a server that answers just
/// in time.
const MARKED: Duration = Duration::from_secs(120);

/// Writes a response, and ends the lease it was fetched under. Where that fails, those who wait for it go on, all at once.
pub(crate) async fn commit(tier: &Arc<Tier>, Write { response, keep, lease, .. }: Write) -> Result<(), RemoteError> {
    let outcome = write_entry(tier, &response, keep, lease.as_ref()).await;
    end(lease, outcome.is_ok());
    leftovers_of(tier, &response, outcome?).await
}

/// Ends the lease with what was written, if it was.
fn end(lease: Option<Lease>, written: bool) {
    match lease {
        Some(lease) if written => lease.spent(),
        Some(lease) => lease.failed(None),
        None => {}
    }
}

/// The body first, where it does not go into the head's own entry; the head last, so that a look-up that finds it finds all of it.
async fn write_entry(
    tier: &Arc<Tier>,
    response: &Arc<StoredResponse>,
    keep: Duration,
    lease: Option<&Lease>,
) -> Result<Committed, RemoteError> {
    let entry_key = tier.key_of(response);
    let keys = tier.link.options().keys.as_ref();
    let packed = packed(tier, response).await;
    let length = packed.length();
    let lane = if length < BULK { Lane::Small } else { Lane::Bulk };
    let (body, note) = match packed {
        Packed::One { content, compressed } => {
            let note = compressed.then_some(Note::Zstd { length });
            (Some(seal(keys, &entry_key.body(), content)?), note)
        }
        Packed::Chunks(chunks) => {
            let lengths = chunks::write(tier, &entry_key, response, chunks, keep).await?;
            (None, Some(Note::Chunks { lengths }))
        }
    };
    let head = seal(keys, &entry_key.head(), encode(response, response.position.shared()).into())?;
    let primary = response.variant().map(|_| tier.entry_key(&response.key(), None));
    let mut call = scripts::COMMIT.call().key(entry_key.entry()).key(lease_key(&entry_key, lease));
    if let Some(primary) = &primary {
        call = call.key(primary.entry());
    }
    call = call.arg(ordered(response.fetch)).arg(ordered(response.body_fetch())).arg(&head[..]);
    call = call.arg(u8::from(body.is_some())).arg(&body.unwrap_or_default()[..]).arg(millis(keep)).arg(token(lease));
    call = call.arg(note.as_ref().map(Note::to_text).unwrap_or_default()).arg(age(tier, response)).arg(number(response));
    if let Some(selecting) = selecting(tier, response)? {
        call = call.arg(&selecting[..]);
    }
    let call = &call;
    let work = |mut connection| async move { call.invoke::<Committed>(&mut connection).await };
    let outcome = tier.link.run(Operation::Commit, lane, work).await;
    if let (Err(RemoteError::Refused), Some(Note::Chunks { lengths })) = (&outcome, &note) {
        // Chunks that cannot be dropped now end by themselves.
        let _ = leftovers::drop_written(tier, &entry_key, response.body_fetch(), lengths).await;
    }
    let committed = outcome?;
    tier.counters.written.add();
    tier.counters.saved_bytes.add_many(response.body_length() - length);
    Ok(committed)
}

/// Drops the chunks that no head leads to any more.
async fn leftovers_of(tier: &Arc<Tier>, response: &StoredResponse, committed: Committed) -> Result<(), RemoteError> {
    let (written, replaced, form, led_here, its_form) = committed;
    let life = if written { Life::ShortlyMore } else { Life::Over };
    leftovers::drop_chunks(tier, &tier.key_of(response), &replaced, &form, life).await?;
    if response.variant().is_none() {
        return Ok(());
    }
    let primary = tier.entry_key(&response.key(), None);
    leftovers::drop_chunks(tier, &primary, &led_here, &its_form, Life::ShortlyMore).await
}

/// Whether it was written, and for the entry and its primary one the fetch and the form of a body that no head leads to any more.
type Committed = (bool, String, String, String, String);

/// Where its lease was granted, if it was fetched under one: what came to light with the answer may have led it elsewhere.
fn lease_key(entry_key: &EntryKey, lease: Option<&Lease>) -> String {
    lease.map_or_else(|| entry_key.lease(), |lease| lease.key().to_owned())
}

/// The frame under the primary key that leads to a variant.
fn selecting(tier: &Tier, response: &StoredResponse) -> Result<Option<Bytes>, RemoteError> {
    let Some(variant) = response.variant() else { return Ok(None) };
    let options = tier.link.options();
    let primary = tier.entry_key(&response.key(), None);
    let head = encode_selecting(&response.key(), &variant.spec).into();
    seal(options.keys.as_ref(), &primary.head(), head).map(Some)
}

/// How old a response is now, in milliseconds; empty where no clock tells. What reads it counts on from here by Redis' clock, for replicas'
/// clocks may differ.
pub(super) fn age(tier: &Tier, response: &StoredResponse) -> String {
    let since = |now: Timestamp| now.as_millis().saturating_sub(response.head.response_time.as_millis());
    let age = |wall: fn() -> Timestamp| u64::from(response.head.initial_age) * 1000 + since(wall());
    tier.link.clocks().wall.map(age).map_or_else(String::new, |age| age.to_string())
}

/// The log's entry that it was fetched at, as text that compares as the number does.
fn number(response: &StoredResponse) -> String {
    ordered(response.position.log_number())
}

/// The body as it is to be stored. What takes its time takes another thread's.
async fn packed(tier: &Arc<Tier>, response: &Arc<StoredResponse>) -> Packed {
    let compression =
        tier.link.options().compress.filter(|compression| is_worth_compressing(&response.head, response.body_length(), *compression));
    match compression {
        None => Packed::plain(&response.body()),
        Some(Compression { level, .. }) if response.body_length() < MIN_OFFLOADED => pack(&response.body(), level),
        Some(Compression { level, .. }) => {
            let aside = Arc::clone(response);
            let packed = tokio::task::spawn_blocking(move || pack(&aside.body(), level)).await;
            packed.unwrap_or_else(|_| Packed::plain(&response.body()))
        }
    }
}

/// The head alone, if its body is still there; all of it otherwise.
pub(crate) async fn freshen(tier: &Arc<Tier>, write: Write) -> Result<(), RemoteError> {
    match renew_head(tier, &write).await {
        Ok(true) => {
            end(write.lease, true);
            Ok(())
        }
        Ok(false) => commit(tier, write).await,
        Err(error) => {
            end(write.lease, false);
            Err(error)
        }
    }
}

/// `false`: the body that it belongs to is not there any more.
async fn renew_head(tier: &Arc<Tier>, write: &Write) -> Result<bool, RemoteError> {
    let (response, keep) = (&write.response, millis(write.keep));
    let entry_key = tier.key_of(response);
    if response.body_length() > SEGMENT as u64 && !extend(tier, &entry_key, response, write.keep).await? {
        return Ok(false);
    }
    let keys = tier.link.options().keys.as_ref();
    let head = seal(keys, &entry_key.head(), encode(response, response.position.shared()).into())?;
    let mut call = scripts::FRESHEN.call().key(entry_key.entry()).key(lease_key(&entry_key, write.lease.as_ref()));
    if response.variant().is_some() {
        call = call.key(tier.entry_key(&response.key(), None).entry());
    }
    call = call.arg(ordered(response.fetch)).arg(ordered(response.body_fetch())).arg(&head[..]);
    call = call.arg(keep).arg(token(write.lease.as_ref())).arg(age(tier, response)).arg(number(response));
    if let Some(selecting) = selecting(tier, response)? {
        call = call.arg(&selecting[..]);
    }
    let call = &call;
    let work = |mut connection| async move { call.invoke::<bool>(&mut connection).await };
    tier.link.run(Operation::Freshen, Lane::Small, work).await
}

/// A body beside its entry has to last as long as its head. `false`: not all of it is there, or it had better be written anew.
async fn extend(tier: &Arc<Tier>, entry_key: &EntryKey, response: &StoredResponse, keep: Duration) -> Result<bool, RemoteError> {
    let mut get = redis::cmd("HGET");
    get.arg(entry_key.entry()).arg("c");
    let get = &get;
    let work = |mut connection| async move { get.query_async::<Option<Vec<u8>>>(&mut connection).await };
    let note = tier.link.run(Operation::Freshen, Lane::Small, work).await?;
    match note.as_deref().and_then(Note::parse) {
        Some(Note::Zstd { length }) => Ok(length <= SEGMENT as u64),
        Some(Note::Chunks { lengths }) => chunks::extend(tier, entry_key, response.body_fetch(), lengths.len(), keep).await,
        None => Ok(false),
    }
}

/// Drops the entry unless a fetch later than `fetch` has replaced it.
pub(crate) async fn remove(tier: &Arc<Tier>, entry: EntryKey, fetch: u64, why: &Removal) -> Result<(), RemoteError> {
    let mark = if why.is_marked() { millis(MARKED).to_string() } else { String::new() };
    let call = scripts::REMOVE.call().key(entry.entry()).arg(ordered(fetch)).arg(mark).arg(u8::from(why.spares_variants()));
    let call = &call;
    let work = |mut connection| async move { call.invoke::<(String, String)>(&mut connection).await };
    let (body_fetch, form) = tier.link.run(Operation::Remove, Lane::Small, work).await?;
    leftovers::drop_chunks(tier, &entry, &body_fetch, &form, Life::ShortlyMore).await
}

fn token(lease: Option<&Lease>) -> String {
    lease.map(|lease| lease.token().to_string()).unwrap_or_default()
}
