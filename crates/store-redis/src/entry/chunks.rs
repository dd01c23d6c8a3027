//! Bodies that are too long for one value: written chunk by chunk, and read so while they arrive.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use larder_store::codec::{BodySum, Coding, ResponseRecord, decode_chunk, encode_chunk};
use larder_store::{Arriving, Chunks, RemoteError, SEGMENT, StoreFuture, StoredResponse};
use redis::Value;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::leftovers::drop_written;
use super::tier::Tier;
use crate::link::{Lane, Operation};
use crate::value::{EntryKey, millis, open, seal, unpack_chunk};

/// Chunks of one body that are on their way at the same time: enough to hide a round trip, and a megabyte at most.
pub(crate) const MAX_CHUNKS_AHEAD: usize = 4;

/// How much longer than its head a chunk is kept: a body can still be read whose head was found just before its end.
const EXTRA_LIFETIME: Duration = Duration::from_secs(60);

/// Writes the chunks of a body. What the head's entry says about them: the bytes of each value. Where one is refused, those before it go
/// again: a server without memory would keep for an hour what no head leads to.
pub(crate) async fn write(
    tier: &Arc<Tier>,
    entry_key: &EntryKey,
    response: &StoredResponse,
    chunks: Vec<(Coding, Bytes)>,
    keep: Duration,
) -> Result<Vec<u64>, RemoteError> {
    let mut lengths = Vec::with_capacity(chunks.len());
    match write_each(tier, entry_key, response, chunks, keep, &mut lengths).await {
        Ok(()) => Ok(lengths),
        Err(error) => {
            // Chunks that cannot be dropped now end by themselves.
            let _ = drop_written(tier, entry_key, response.body_fetch(), &lengths).await;
            Err(error)
        }
    }
}

async fn write_each(
    tier: &Arc<Tier>,
    entry_key: &EntryKey,
    response: &StoredResponse,
    chunks: Vec<(Coding, Bytes)>,
    keep: Duration,
    lengths: &mut Vec<u64>,
) -> Result<(), RemoteError> {
    let (keys, body) = (tier.link.options().keys.as_ref(), BodySum::of(&response.body()));
    for (number, (coding, content)) in (0..).zip(chunks) {
        let key = entry_key.chunk(response.body_fetch(), number);
        let value = seal(keys, &key, encode_chunk(&body, number, coding, &content).into())?;
        lengths.push(value.len() as u64);
        let mut set = redis::cmd("SET");
        set.arg(key).arg(&value[..]).arg("PX").arg(lifetime(keep));
        let set = &set;
        let work = |mut connection| async move { set.query_async::<()>(&mut connection).await };
        tier.link.run(Operation::Chunk, Lane::Bulk, work).await?;
    }
    Ok(())
}

/// Lets the first `count` chunks last as long as a head that is renewed. `false`: not all of them are there.
pub(crate) async fn extend(
    tier: &Arc<Tier>,
    entry_key: &EntryKey,
    body_fetch: u64,
    count: usize,
    keep: Duration,
) -> Result<bool, RemoteError> {
    let mut extend = redis::pipe();
    for number in (0..).take(count) {
        extend.cmd("PEXPIRE").arg(entry_key.chunk(body_fetch, number)).arg(lifetime(keep));
    }
    let extend = &extend;
    let work = |mut connection| async move { extend.query_async::<Vec<bool>>(&mut connection).await };
    Ok(tier.link.run(Operation::Freshen, Lane::Small, work).await?.into_iter().all(|present| present))
}

fn lifetime(keep: Duration) -> u64 {
    millis(keep.saturating_add(EXTRA_LIFETIME))
}

/// Begins to read a body whose values have these lengths: once all of them have been seen and the first has been proven, the rest may come
/// while it is served. `None`: they are not all there, which is no fault; some were evicted, or replaced by those of a newer body.
pub(crate) async fn begin(
    tier: &Arc<Tier>,
    entry_key: &EntryKey,
    record: ResponseRecord,
    lengths: &[u64],
) -> Result<Option<Arriving>, RemoteError> {
    let source = Source { tier: Arc::clone(tier), entry_key: entry_key.clone(), body_fetch: record.body_fetch(), body: record.body() };
    match source.first(lengths).await {
        Ok(Some(first)) => {
            let reading = Reading::start(Arc::new(source), first, lengths.len());
            Ok(Some(Arriving { record: Box::new(record), chunks: Box::new(reading) }))
        }
        Ok(None) => Ok(None),
        Err(flaw) => Err(source.report(flaw)),
    }
}

/// Where the chunks of a body are.
struct Source {
    tier: Arc<Tier>,
    entry_key: EntryKey,
    body_fetch: u64,
    body: BodySum,
}

/// Why a chunk cannot be handed out.
enum Flaw {
    /// It is not there.
    Failed(RemoteError),
    /// It is not what was written.
    Damaged,
    /// No key opens it.
    Locked,
}

/// A body that is being read: by a task of its own, so that no deadline runs while earlier chunks are not taken.
struct Reading {
    source: Arc<Source>,
    /// Until it is taken.
    first: Option<Bytes>,
    arrived: mpsc::UnboundedReceiver<Result<Bytes, Flaw>>,
    /// Chunks that may be asked for.
    permits: Arc<Semaphore>,
    /// Chunks after the first that have not been taken, and how many of them may be asked for.
    left: usize,
    asked: usize,
    /// How many may be asked for before one is taken.
    max_ahead: usize,
    task: JoinHandle<()>,
}

impl Source {
    /// One look at all values, which also keeps them from being the next that are evicted, and with it the first chunk; `None` where not all
    /// are there. The others are asked for after that: nothing stands before what the client waits for.
    async fn first(&self, lengths: &[u64]) -> Result<Option<Bytes>, Flaw> {
        let mut look = redis::pipe();
        for (number, _) in (0..).zip(lengths) {
            look.cmd("STRLEN").arg(self.key(number));
        }
        look.cmd("GET").arg(self.key(0));
        let look = &look;
        let work = |mut connection| async move { look.query_async::<Vec<Value>>(&mut connection).await };
        let mut answers = self.tier.link.run(Operation::Chunk, Lane::Bulk, work).await.map_err(Flaw::Failed)?;
        let first = answers.pop();
        let found = answers.iter().map(|answer| if let Value::Int(length) = answer { u64::try_from(*length).ok() } else { None });
        match first {
            Some(Value::BulkString(first)) if found.eq(lengths.iter().copied().map(Some)) => self.read(0, first).await.map(Some),
            _ => Ok(None),
        }
    }

    /// Asks for these chunks, each when there is a permit, and hands them over in their order.
    async fn chunks(&self, mut numbers: Range<u32>, permits: &Semaphore, hand_over: mpsc::UnboundedSender<Result<Bytes, Flaw>>) {
        let mut under_way = FuturesOrdered::new();
        loop {
            tokio::select! {
                biased;
                Some(chunk) = under_way.next() => if hand_over.send(chunk).is_err() { return },
                Ok(permit) = permits.acquire(), if !numbers.is_empty() => {
                    permit.forget();
                    under_way.extend(numbers.next().map(|number| self.chunk(number)));
                }
                else => return,
            }
        }
    }

    async fn chunk(&self, number: u32) -> Result<Bytes, Flaw> {
        let mut get = redis::cmd("GET");
        get.arg(self.key(number));
        let get = &get;
        let work = |mut connection| async move { get.query_async::<Option<Vec<u8>>>(&mut connection).await };
        let _permit = self.tier.chunk_permits.acquire().await;
        // The client that waits for it is being served already.
        let value = self.tier.link.run_streaming(Operation::Chunk, work).await.map_err(Flaw::Failed)?;
        self.read(number, value.ok_or(Flaw::Failed(RemoteError::Incomplete))?).await
    }

    /// The content of a value, if it is this chunk.
    async fn read(&self, number: u32, value: Vec<u8>) -> Result<Bytes, Flaw> {
        let (keys, body) = (self.tier.link.options().keys.as_ref(), self.body);
        let frame = open(keys, &self.key(number), value.into()).ok_or(Flaw::Locked)?;
        // Checked and unpacked aside: that takes longer than others on this thread should wait.
        let read = move || {
            let (coding, content) = decode_chunk(frame, &body, number).ok()?;
            unpack_chunk(coding, content, body.chunk_length(number))
        };
        tokio::task::spawn_blocking(read).await.ok().flatten().ok_or(Flaw::Damaged)
    }

    fn key(&self, number: u32) -> String {
        self.entry_key.chunk(self.body_fetch, number)
    }

    /// Counts what should not be, and drops the entry that leads there.
    fn report(&self, flaw: Flaw) -> RemoteError {
        match flaw {
            Flaw::Failed(error) => error,
            Flaw::Damaged => self.tier.damaged(&self.entry_key),
            Flaw::Locked => self.tier.locked(&self.entry_key),
        }
    }
}

impl Reading {
    /// Will ask for the chunks after the first, in their order.
    fn start(source: Arc<Source>, first: Bytes, count: usize) -> Self {
        let (permits, (hand_over, arrived)) = (Arc::new(Semaphore::new(0)), mpsc::unbounded_channel());
        let (from, may_ask) = (Arc::clone(&source), Arc::clone(&permits));
        let task = tokio::spawn(async move { from.chunks(1..count as u32, &may_ask, hand_over).await });
        Self { source, first: Some(first), arrived, permits, left: count - 1, asked: 0, max_ahead: MAX_CHUNKS_AHEAD, task }
    }

    async fn take(&mut self) -> Option<Result<Bytes, Flaw>> {
        if let Some(first) = self.first.take() {
            self.ask(self.max_ahead);
            return Some(Ok(first));
        }
        if self.left == 0 {
            return None;
        }
        self.ask(self.max_ahead.max(1));
        // A task that is gone has brought nothing.
        let next = self.arrived.recv().await.unwrap_or(Err(Flaw::Failed(RemoteError::Incomplete)));
        (self.left, self.asked) = (self.left - 1, self.asked - 1);
        self.ask(self.max_ahead);
        Some(next)
    }

    /// Lets so many of the chunks that are left be asked for.
    fn ask(&mut self, count: usize) {
        let more = count.min(self.left).saturating_sub(self.asked);
        self.permits.add_permits(more);
        self.asked += more;
    }
}

impl Chunks for Reading {
    fn next(&mut self) -> StoreFuture<'_, Option<Result<Bytes, RemoteError>>> {
        Box::pin(async move {
            let next = self.take().await?;
            Some(next.map_err(|flaw| {
                self.source.tier.counters.interrupted.add();
                self.source.report(flaw)
            }))
        })
    }

    fn ahead(&self) -> u64 {
        ((self.asked + usize::from(self.first.is_some())) * SEGMENT) as u64
    }

    fn limit_ahead(&mut self, segments: usize) {
        self.max_ahead = segments.min(MAX_CHUNKS_AHEAD);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.task.abort();
    }
}
