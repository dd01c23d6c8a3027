//! Bodies in chunks that no head leads to any more: replaced, dropped, or purged with everything else.
//!
//! Every chunk ends by itself a little after the head that it was written for. A body that is replaced before would take its room until
//! then, so replacing or dropping a head ends its chunks. A purge of everything is one entry of the log like any other and makes all
//! of it old at once; what lies in Redis is then dropped from there in the background, so that it does not push out what is used.

use std::sync::Arc;
use std::time::Duration;

use larder_store::RemoteError;

use super::tier::Tier;
use crate::link::{Lane, Operation};
use crate::value::{EntryKey, Note, millis};

/// How long a body can still be read by those who have found its head before that was replaced.
const SHORTLY: Duration = Duration::from_secs(10);

/// How long chunks stay that no head leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Another replica may be reading them.
    ShortlyMore,
    /// No head has led there.
    Over,
}

/// Ends the chunks of a body, if it is one in chunks. `fetch` and `form` are what stood in its head's entry.
pub(crate) async fn drop_chunks(tier: &Arc<Tier>, entry_key: &EntryKey, fetch: &str, form: &str, life: Life) -> Result<(), RemoteError> {
    let Ok(fetch) = u64::from_str_radix(fetch, 16) else { return Ok(()) };
    match Note::parse(form.as_bytes()) {
        Some(Note::Chunks { lengths }) => end(tier, entry_key, fetch, &lengths, life).await,
        _ => Ok(()),
    }
}

/// Drops the chunks of a body whose head could not be written.
pub(crate) async fn drop_written(tier: &Arc<Tier>, entry_key: &EntryKey, fetch: u64, lengths: &[u64]) -> Result<(), RemoteError> {
    end(tier, entry_key, fetch, lengths, Life::Over).await
}

async fn end(tier: &Arc<Tier>, entry_key: &EntryKey, fetch: u64, lengths: &[u64], life: Life) -> Result<(), RemoteError> {
    if lengths.is_empty() {
        return Ok(());
    }
    let mut end = redis::pipe();
    for (number, _) in (0..).zip(lengths) {
        let key = entry_key.chunk(fetch, number);
        match life {
            Life::ShortlyMore => end.cmd("PEXPIRE").arg(key).arg(millis(SHORTLY)),
            Life::Over => end.cmd("DEL").arg(key),
        };
    }
    let end = &end;
    let work = |mut connection| async move { end.query_async::<Vec<bool>>(&mut connection).await };
    tier.link.run(Operation::Remove, Lane::Small, work).await.map(drop)
}
