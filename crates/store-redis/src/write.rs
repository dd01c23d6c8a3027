//! Writes, one by one.

use std::sync::Arc;
use std::time::Duration;

use larder_store::codec::{encode, encode_selecting};
use larder_store::{Ending, Lease, RemoteError, SEGMENT, StoredResponse, Write};

use crate::keys::{EntryKey, ordered};
use crate::link::Lane;
use crate::scripts;
use crate::stats::Operation;
use crate::store::Inner;

/// Bodies from this length on take the other connection.
const BULK: u64 = 64 << 10;

/// After an answer that cannot be shared, no replica waits for another one's for this long.
const UNSHARED: Duration = Duration::from_secs(10);

/// The body first, where it does not go into the head's own entry; the head last, so that whoever finds it finds all of it.
pub(crate) async fn commit(inner: &Arc<Inner>, write: Write) -> Result<(), RemoteError> {
    let Write { response, keep, lease } = write;
    let place = place(inner, &response);
    let length = response.body.len();
    let lane = if length < BULK { Lane::Small } else { Lane::Bulk };
    let inline = length <= SEGMENT as u64;
    if !inline {
        for (index, segment) in response.body.segments().iter().enumerate() {
            let mut set = redis::cmd("SET");
            set.arg(place.chunk(response.body_fetch, index as u64)).arg(&segment[..]).arg("PX").arg(millis(keep));
            let work = |mut connection| async move { set.query_async::<()>(&mut connection).await };
            inner.link.run(Operation::Chunk, lane, work).await?;
        }
    }
    let mut call = scripts::COMMIT.call().key(place.entry()).key(place.lease());
    if response.variant.is_some() {
        call = call.key(EntryKey::primary(&inner.link.options().prefix, &response.key).entry());
    }
    let body = response.body.segments().first().filter(|_| inline).map_or(&[][..], |body| &body[..]);
    call = call.arg(ordered(response.fetch)).arg(ordered(response.body_fetch)).arg(encode(&response, response.position.shared()));
    call = call.arg(u8::from(inline)).arg(body).arg(millis(keep)).arg(token(lease.as_ref()));
    if let Some(variant) = &response.variant {
        call = call.arg(encode_selecting(&response.key, &variant.spec));
    }
    let work = |mut connection| async move { call.invoke::<u8>(&mut connection).await };
    inner.link.run(Operation::Commit, lane, work).await?;
    if let Some(lease) = lease {
        lease.spent();
    }
    inner.counters.written.add();
    Ok(())
}

/// The head alone, if its body is still there; all of it otherwise.
pub(crate) async fn freshen(inner: &Arc<Inner>, write: Write) -> Result<(), RemoteError> {
    let (response, keep) = (&write.response, millis(write.keep));
    let place = place(inner, response);
    if response.body.len() > SEGMENT as u64 {
        // The body has to last as long as its head.
        let mut extend = redis::pipe();
        for index in 0..response.body.segments().len() {
            extend.cmd("PEXPIRE").arg(place.chunk(response.body_fetch, index as u64)).arg(keep);
        }
        let work = |mut connection| async move { extend.query_async::<Vec<bool>>(&mut connection).await };
        if !inner.link.run(Operation::Freshen, Lane::Small, work).await?.into_iter().all(|present| present) {
            return commit(inner, write).await;
        }
    }
    let call = scripts::FRESHEN.call().key(place.entry()).key(place.lease());
    let call = call.arg(ordered(response.fetch)).arg(ordered(response.body_fetch)).arg(encode(response, response.position.shared()));
    let call = call.arg(keep).arg(token(write.lease.as_ref()));
    let work = |mut connection| async move { call.invoke::<bool>(&mut connection).await };
    if !inner.link.run(Operation::Freshen, Lane::Small, work).await? {
        return commit(inner, write).await;
    }
    if let Some(lease) = write.lease {
        lease.spent();
    }
    Ok(())
}

/// Drops the entry unless a fetch later than `fetch` has replaced it.
pub(crate) async fn remove(inner: &Arc<Inner>, entry: String, fetch: u64) -> Result<(), RemoteError> {
    let call = scripts::REMOVE.call().key(entry).arg(ordered(fetch));
    let work = |mut connection| async move { call.invoke::<()>(&mut connection).await };
    inner.link.run(Operation::Remove, Lane::Small, work).await
}

/// Ends a lease under which nothing was stored.
pub(crate) async fn release(inner: &Arc<Inner>, key: String, token: u64, ending: Ending) -> Result<(), RemoteError> {
    let unshared = match ending {
        Ending::Failed => 0,
        Ending::NotShared => millis(UNSHARED),
    };
    let call = scripts::RELEASE.call().key(key).arg(token).arg(unshared);
    let work = |mut connection| async move { call.invoke::<()>(&mut connection).await };
    inner.link.run(Operation::Release, Lane::Small, work).await
}

pub(crate) fn place(inner: &Inner, response: &StoredResponse) -> EntryKey {
    EntryKey::of(&inner.link.options().prefix, &response.key, response.variant.as_ref())
}

fn token(lease: Option<&Lease>) -> String {
    lease.map(|lease| lease.token().to_string()).unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64 / 2)
}
