//! Reads the log to its end and follows it, on a connection of its own: a read that waits would hold up everything behind it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_redis_options::RedisOptions;
use redis::{RedisResult, cmd};
use tracing::{debug, warn};

use super::look::Look;
use super::record::Entry;
use super::state::Log;
use crate::link::{Connection, Found, in_words};

/// How long a read waits for something new, where `max_lag` is not shorter still. After it the counter is looked at, so this is also how
/// often the log is known to be whole.
const WAIT: Duration = Duration::from_millis(500);
const MIN_WAIT: Duration = Duration::from_millis(10);

/// Entries that a read which waits brings. Those behind them come by a look, which is bounded in bytes.
const BATCH: u32 = 4;

/// Between the beginnings of two attempts to connect. So a connection that worked for longer is followed by another one at once.
const PAUSE: Duration = Duration::from_millis(250);

/// Why a connection is not used any more.
struct Ended {
    problem: String,
    /// The log was read by it.
    worked: bool,
}

/// Follows the log until its owner is gone.
pub(crate) async fn follow(log: Weak<Log>) {
    let mut is_first = true;
    loop {
        // From now on, and not from when it failed.
        let pause = tokio::time::sleep(PAUSE);
        let Some(log) = log.upgrade() else { return };
        match read_on(&log, std::mem::take(&mut is_first)).await {
            Ok(()) => {}
            // Servers close connections, and masters change: it is a problem only if the next one does not work.
            Err(Ended { problem, worked: true }) => debug!("the log of invalidations is read on by another connection: {problem}"),
            Err(Ended { problem, worked: false }) => log.missed(problem),
        }
        drop(log);
        pause.await;
    }
}

/// Reads until something fails, or only this task holds the log.
async fn read_on(log: &Arc<Log>, is_first: bool) -> Result<(), Ended> {
    let options = log.link.options();
    let failed = |problem| Ended { problem, worked: false };
    let found = log.link.find().await.map_err(failed)?;
    let connecting = found.connect(options, wait(options) + options.connect_timeout + options.timeout);
    let mut connection = connecting.await.map_err(|error| failed(in_words(&error)))?;
    let mut worked = false;
    // The same name or address may lead to another server than it did: one that is promoted in place of the old one.
    let moved = (!is_first).then_some(found);
    follow_on(log, &mut connection, moved, &mut worked).await.map_err(|error| Ended { problem: in_words(&error), worked })
}

async fn follow_on(log: &Arc<Log>, connection: &mut Connection, mut moved: Option<Found>, worked: &mut bool) -> RedisResult<()> {
    while Arc::strong_count(log) > 1 {
        let Progress { brought, is_end } = look(log, connection).await?;
        *worked = true;
        if let Some(found) = moved.take() {
            log.link.move_to(found)?;
        }
        // Waiting invalidations are published once everything is read, and what came meanwhile is read before more are published.
        let published = is_end && log.journal.len() > 0 && log.publish_waiting().await;
        if !brought && !published {
            read(log, connection).await?;
        }
    }
    log.replicas.leave(connection).await
}

/// The result of a look.
struct Progress {
    /// Something that was new.
    brought: bool,
    /// The log was read to its end.
    is_end: bool,
}

/// Applies what is new, says how far this replica is, and looks whether the counter agrees that this is the end.
async fn look(log: &Log, connection: &mut Connection) -> RedisResult<Progress> {
    let began = log.now();
    let before = log.applied();
    let look = Look::at(log, connection).await?;
    log.found_damage(&look.damage);
    if look.begun && look.damage.is_empty() && before > 0 {
        warn!("the log of invalidations may have lost its end; what is in memory is dropped");
    }
    let epoch = look.epoch(&log.link.options().prefix);
    log.replicas.set_known(look.registry);
    if look.entries.is_empty() && look.last > before {
        // The entries in between were trimmed away, or the log begins here.
        log.start_over_at(look.last);
    }
    look.entries.into_iter().for_each(|entry| log.apply(entry));
    let is_end = log.applied() >= look.last;
    if is_end {
        log.enter(epoch);
        log.set_current(began);
    }
    Ok(Progress { brought: log.applied() != before, is_end })
}

/// Waits for something new, and applies it.
async fn read(log: &Log, connection: &mut Connection) -> RedisResult<()> {
    let [_, stream, ..] = log.keys();
    let mut read = cmd("XREAD");
    read.arg("COUNT").arg(BATCH).arg("BLOCK").arg(wait(log.link.options()).as_millis() as u64);
    read.arg("STREAMS").arg(stream).arg(format!("{}-0", log.applied()));
    let entries = Entry::of_stream(read.query_async(connection).await?, log.applied());
    entries.into_iter().for_each(|entry| log.apply(entry));
    Ok(())
}

/// Several looks fall into the time for which one counts.
fn wait(options: &RedisOptions) -> Duration {
    WAIT.min(options.max_lag / 4).max(MIN_WAIT)
}
