//! Bodies in the form of earlier versions: slices of one compressed and sealed whole.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use larder_store::{RemoteError, SEGMENT};

use super::chunks::MAX_CHUNKS_AHEAD;
use super::tier::Tier;
use crate::link::{Lane, Operation};
use crate::value::{EntryKey, open};

/// The slices of a body as they were stored before there were chunks, each open if a key was there for it; `None` if one of them is gone.
pub(super) async fn slices(
    tier: &Arc<Tier>,
    entry_key: &EntryKey,
    body_fetch: u64,
    stored: u64,
) -> Result<Option<Vec<Option<Bytes>>>, RemoteError> {
    let slice = |index| {
        let key = entry_key.slice(body_fetch, index);
        async move {
            let mut get = redis::cmd("GET");
            get.arg(&key);
            let get = &get;
            let work = |mut connection| async move { get.query_async::<Option<Vec<u8>>>(&mut connection).await };
            let slice = tier.link.run(Operation::Chunk, Lane::Bulk, work).await?;
            Ok::<_, RemoteError>(slice.map(|slice| open(tier.link.options().keys.as_ref(), &key, slice.into())))
        }
    };
    let mut arriving = stream::iter(0..stored.div_ceil(SEGMENT as u64)).map(slice).buffered(MAX_CHUNKS_AHEAD);
    let mut segments = Vec::new();
    while let Some(slice) = arriving.try_next().await? {
        let Some(slice) = slice else { return Ok(None) };
        segments.push(slice);
    }
    Ok(Some(segments))
}
