//! Reads the log to its end and follows it, on a connection of its own: a read that waits would hold up everything behind it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use larder_store::Invalidation;
use redis::{RedisResult, Value, cmd};
use tracing::warn;

use crate::inspect::Inspection;
use crate::journal::decode;
use crate::log::Log;
use crate::scripts;
use crate::servers::{Connection, in_words};

/// How long a read waits for something new. After it the counter is looked at, so this is also how often the log is known to be whole.
const WAIT: Duration = Duration::from_millis(500);

/// Entries in one answer.
const BATCH: u32 = 1000;

/// Between two looks at the servers themselves.
const INSPECTION: Duration = Duration::from_secs(10);

/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(250);

/// Follows the log until its owner is gone.
pub(crate) async fn follow(log: Weak<Log>) {
    loop {
        let Some(log) = log.upgrade() else { return };
        if let Err(problem) = read_on(&log).await {
            log.missed(problem);
        }
        drop(log);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads until something fails, or nobody but this task holds the log.
async fn read_on(log: &Arc<Log>) -> Result<(), String> {
    let options = log.link.options();
    let found = log.link.find().await?;
    let connecting = found.connect(options, WAIT + options.connect_timeout + options.timeout);
    let mut connection = connecting.await.map_err(|error| in_words(&error))?;
    follow_on(log, &mut connection).await.map_err(|error| in_words(&error))
}

async fn follow_on(log: &Arc<Log>, connection: &mut Connection) -> RedisResult<()> {
    // First, for it tells why what follows may fail.
    let mut inspected = None;
    inspect(log, connection, &mut inspected).await?;
    // The first read does not wait: a log without anything new is soon known to be whole.
    let mut wait = None;
    while Arc::strong_count(log) > 1 {
        let read = read(log, connection, wait).await?;
        // What has to be told again is told soon; if it cannot be, the next look is after a wait.
        wait = (read == 0 || log.journal.len() == 0).then_some(WAIT);
        if read == 0 {
            settle(log, connection).await?;
            inspect(log, connection, &mut inspected).await?;
        }
    }
    Ok(())
}

/// Asks the servers how they are, now and then. `last` is when that was.
async fn inspect(log: &Log, connection: &mut Connection, last: &mut Option<Instant>) -> RedisResult<()> {
    let options = log.link.options();
    let now = (options.monotonic)();
    if last.is_none_or(|last| now.saturating_duration_since(last) >= INSPECTION) {
        log.set_inspected(Inspection::of(connection, options).await?);
        *last = Some(now);
    }
    Ok(())
}

/// Applies what is new, and says how much it was.
async fn read(log: &Log, connection: &mut Connection, wait: Option<Duration>) -> RedisResult<usize> {
    let [_, stream, _] = log.keys();
    let mut read = cmd("XREAD");
    read.arg("COUNT").arg(BATCH);
    if let Some(wait) = wait {
        read.arg("BLOCK").arg(wait.as_millis() as u64);
    }
    read.arg("STREAMS").arg(stream).arg(format!("{}-0", log.applied()));
    let entries = entries(read.query_async(connection).await?);
    let count = entries.len();
    for (number, invalidation) in &entries {
        log.apply(*number, invalidation);
    }
    if count > 0 {
        log.replicas.report(connection, log.applied()).await?;
    }
    Ok(count)
}

/// Nothing is new. Tells others what they were not told, and looks whether the counter agrees that this is the end.
async fn settle(log: &Log, connection: &mut Connection) -> RedisResult<()> {
    if !tell(log).await {
        return Ok(());
    }
    let [counter, _, server] = log.keys();
    let applied = log.applied();
    let call = scripts::SETTLE.call().key(counter).key(server).arg(applied);
    let (last, begun): (u64, bool) = call.invoke(connection).await?;
    if begun && applied > 0 {
        warn!("the log of invalidations may have lost its end; what is in memory is dropped");
    }
    // Entries may have come since; if none has, they were trimmed away, or the log begins here.
    if last > applied {
        if read(log, connection, None).await? > 0 {
            return Ok(());
        }
        log.start_over_at(last);
        tell(log).await;
    }
    log.set_current();
    log.replicas.report(connection, log.applied()).await
}

/// Puts in what the log does not have yet; `false` if that could not be done with all of it.
async fn tell(log: &Log) -> bool {
    while let Some(invalidation) = log.journal.first() {
        if log.put(&invalidation).await.is_err() {
            return false;
        }
        log.journal.done(&invalidation);
    }
    true
}

/// The entries of an answer to `XREAD` of one stream: `[[name, [[id, [field, value, …]], …]]]`, or nil. An entry that is none is taken for
/// one that invalidates everything, and one without a number stands for nothing: the gap will show.
fn entries(answer: Value) -> Vec<(u64, Invalidation)> {
    let stream = items(answer).into_iter().next().map(items).unwrap_or_default();
    let entries = stream.into_iter().nth(1).map(items).unwrap_or_default();
    let entry = |value| {
        let mut parts = items(value).into_iter();
        let id = text(parts.next()?)?;
        let number = std::str::from_utf8(&id).ok()?.split('-').next()?.parse().ok()?;
        let fields = parts.next().map(items).unwrap_or_default();
        let invalidation = fields.into_iter().nth(1).and_then(text).unwrap_or_default();
        Some((number, decode(&invalidation)))
    };
    entries.into_iter().filter_map(entry).collect()
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        // RESP3 answers with a map of streams.
        Value::Map(pairs) => pairs.into_iter().map(|(name, entries)| Value::Array(vec![name, entries])).collect(),
        _ => Vec::new(),
    }
}

fn text(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}
