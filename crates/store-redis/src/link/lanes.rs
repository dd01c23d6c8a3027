//! The connections, the deadline of every operation, and the breaker before them.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use larder_redis_options::RedisOptions;
use larder_store::RemoteError;
use larder_store::breaker::{Breaker, BreakerState};
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::clocks::Clocks;
use super::health::Health;
use super::observer::{Operation, RedisObserver};
use super::servers::{Connection, Found, Servers, in_words};

/// Chunks of all bodies that are on their way at the same time, but for the first of each: those who wait for their turn are not late yet.
pub(crate) const MAX_CONCURRENT_CHUNKS: usize = 32;

/// How often it is asked whether it works again while the breaker is open.
const RECOVERY: Duration = Duration::from_millis(250);

/// Which connection an operation takes: a long body must not stand before a look-up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lane {
    Small,
    Bulk,
}

/// Minimum deadline for an operation that a client already being served waits for: breaking off is worse than waiting.
const MIN_STREAMING_TIMEOUT: Duration = Duration::from_secs(1);

/// See the module's page.
pub(crate) struct Link {
    options: RedisOptions,
    clocks: Clocks,
    servers: Servers,
    /// `None` before a sentinel has said where the master is.
    lanes: Mutex<Option<Lanes>>,
    breaker: Breaker,
    observer: Option<Arc<dyn RedisObserver>>,
    health: Health,
    recovering: AtomicBool,
    /// How often everything has gone to new connections.
    moves: AtomicU64,
    /// How many chunks have come by [`Link::run_streaming`].
    arrivals: AtomicU64,
}

/// The connections, and where they lead.
struct Lanes {
    found: Found,
    small: Connection,
    bulk: Connection,
}

impl Link {
    pub(crate) fn new(options: RedisOptions, clocks: Clocks, observer: Option<Arc<dyn RedisObserver>>) -> RedisResult<Arc<Self>> {
        let servers = Servers::new(&options)?;
        let lanes = servers.known().map(|found| Lanes::new(found, &options)).transpose()?;
        let breaker = Breaker::new(options.breaker_failures, options.breaker_open);
        let health = Health::new(format!("Redis at {} does not answer", options.servers));
        let (lanes, recovering, moves, arrivals) = (Mutex::new(lanes), AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        Ok(Arc::new(Self { options, clocks, servers, lanes, breaker, observer, health, recovering, moves, arrivals }))
    }

    pub(crate) fn options(&self) -> &RedisOptions {
        &self.options
    }

    pub(crate) fn clocks(&self) -> Clocks {
        self.clocks
    }

    pub(crate) fn breaker(&self) -> BreakerState {
        self.breaker.state((self.clocks.monotonic)())
    }

    /// The problem now, for people.
    pub(crate) fn problem(&self) -> Option<String> {
        self.health.problem()
    }

    /// One operation under its own deadline, which waiting for a connection counts against. Where the connection turns out to be lost, it
    /// is done once more on a new one: whatever is asked of Redis here may be asked twice.
    pub(crate) async fn run<T, F>(
        self: &Arc<Self>,
        operation: Operation,
        lane: Lane,
        work: impl Fn(Connection) -> F,
    ) -> Result<T, RemoteError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        self.run_with(Deadline::new(self.options.timeout), operation, lane, work).await
    }

    /// As [`Self::run`], for the rest of what is being served already, by the lane for what is large: as long as anything of the kind arrives
    /// there, what comes behind it is not late.
    pub(crate) async fn run_streaming<T, F>(
        self: &Arc<Self>,
        operation: Operation,
        work: impl Fn(Connection) -> F,
    ) -> Result<T, RemoteError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let deadline = Deadline { limit: streaming_timeout(&self.options), arrivals: Some(&self.arrivals) };
        self.run_with(deadline, operation, Lane::Bulk, work).await
    }

    async fn run_with<T, F>(
        self: &Arc<Self>,
        deadline: Deadline<'_>,
        operation: Operation,
        lane: Lane,
        work: impl Fn(Connection) -> F,
    ) -> Result<T, RemoteError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let started = (self.clocks.monotonic)();
        let Some(pass) = self.breaker.pass(started) else { return Err(RemoteError::Open) };
        let outcome = match self.connection(lane) {
            Some(connection) => deadline.wait(twice(connection, work)).await,
            None => Ok(Err(RedisError::from((ErrorKind::Io, "no sentinel has said yet where the master is")))),
        };
        let now = (self.clocks.monotonic)();
        let outcome = match outcome {
            Ok(Ok(value)) => {
                pass.succeeded();
                Ok(value)
            }
            Ok(Err(error)) => {
                let kind = kind(&error);
                match kind {
                    // It works; it only does not do this.
                    RemoteError::Refused => pass.succeeded(),
                    _ if operation.is_afterwards() => {}
                    _ if pass.failed(now) => self.opened(in_words(&error)),
                    _ => {}
                }
                Err(kind)
            }
            Err(_) => {
                if !operation.is_afterwards() && pass.failed(now) {
                    self.opened(format!("no answer within {} ms", deadline.limit.as_millis()));
                }
                Err(RemoteError::Timeout)
            }
        };
        if let Some(observer) = &self.observer {
            observer.operation(operation, outcome.as_ref().map(|_| ()).map_err(|error| *error), now.saturating_duration_since(started));
        }
        outcome
    }

    fn connection(&self, lane: Lane) -> Option<Connection> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.as_ref().map(|lanes| match lane {
            Lane::Small => lanes.small.clone(),
            Lane::Bulk => lanes.bulk.clone(),
        })
    }

    /// Where the server is now. If that is somewhere else than it was, everything goes there from now on.
    pub(crate) async fn find(&self) -> Result<Found, String> {
        let found = self.servers.find(self.options.connect_timeout).await?;
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.as_ref().is_none_or(|lanes| !lanes.found.is(&found)) {
            *lanes = Some(Lanes::new(found.clone(), &self.options).map_err(|error| in_words(&error))?);
        }
        Ok(found)
    }

    /// New connections: an old one may be stuck for as long as the kernel goes on sending, long after the server is well again.
    async fn reconnect(&self) -> Result<(), String> {
        let found = self.servers.find(self.options.connect_timeout).await?;
        self.move_to(found).map_err(|error| in_words(&error))
    }

    /// Everything goes there by new connections from now on. A server that has become a replica keeps the old ones, and refuses all writes.
    pub(crate) fn move_to(&self, found: Found) -> RedisResult<()> {
        let new = Lanes::new(found, &self.options)?;
        *self.lanes.lock().unwrap_or_else(PoisonError::into_inner) = Some(new);
        self.moves.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// How often everything has gone to new connections, perhaps to another server.
    pub(crate) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Asks it in the background until it works, so that no request has to find out.
    fn opened(self: &Arc<Self>, problem: String) {
        self.health.set_problem(problem, (self.clocks.monotonic)());
        if !self.recovering.swap(true, Ordering::Relaxed) {
            tokio::spawn(recover(Arc::downgrade(self)));
        }
    }

    /// Connects and asks for a sign of life.
    async fn ping(&self) -> Result<(), String> {
        self.reconnect().await?;
        let mut connection = self.connection(Lane::Small).ok_or("nowhere to connect to")?;
        let ping = async { redis::cmd("PING").query_async::<()>(&mut connection).await };
        // Connecting may take its own time; the answer has to be there within the deadline, which is the connection's own.
        match timeout(self.options.connect_timeout + self.options.timeout, ping).await {
            Ok(answer) => answer.map_err(|error| in_words(&error)),
            Err(_) => Err("no answer".to_owned()),
        }
    }
}

/// A server closes connections that it takes to be idle, and a failover closes all: the first operation after it finds out.
async fn twice<T, F: Future<Output = RedisResult<T>>>(connection: Connection, work: impl Fn(Connection) -> F) -> RedisResult<T> {
    match work(connection.clone()).await {
        Err(error) if error.is_connection_dropped() && !error.is_connection_refusal() && !error.is_timeout() => work(connection).await,
        outcome => outcome,
    }
}

/// How long an operation is waited for.
struct Deadline<'a> {
    limit: Duration,
    /// Each arrival counted here begins the deadline anew.
    arrivals: Option<&'a AtomicU64>,
}

impl Deadline<'_> {
    fn new(limit: Duration) -> Self {
        Self { limit, arrivals: None }
    }

    async fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        let mut work = pin!(work);
        let arrived = || self.arrivals.map(|arrivals| arrivals.load(Ordering::Relaxed));
        loop {
            let before = arrived();
            match timeout(self.limit, work.as_mut()).await {
                Err(elapsed) if arrived() == before => return Err(elapsed),
                Err(_) => {}
                Ok(outcome) => {
                    if let Some(arrivals) = self.arrivals {
                        arrivals.fetch_add(1, Ordering::Relaxed);
                    }
                    return Ok(outcome);
                }
            }
        }
    }
}

fn streaming_timeout(options: &RedisOptions) -> Duration {
    options.timeout.max(MIN_STREAMING_TIMEOUT)
}

impl Lanes {
    fn new(found: Found, options: &RedisOptions) -> RedisResult<Self> {
        let small = found.connect_lazily(options, options.timeout)?;
        // Each operation has its own deadline; of those that wait behind each other the last may wait for all.
        let bulk = found.connect_lazily(options, streaming_timeout(options) * MAX_CONCURRENT_CHUNKS as u32)?;
        Ok(Self { found, small, bulk })
    }
}

async fn recover(link: Weak<Link>) {
    loop {
        tokio::time::sleep(RECOVERY).await;
        let Some(link) = link.upgrade() else { return };
        match link.ping().await {
            Ok(()) => {
                link.health.clear_problem();
                link.recovering.store(false, Ordering::Relaxed);
                link.breaker.close();
                return;
            }
            Err(problem) => link.health.set_problem(problem, (link.clocks.monotonic)()),
        }
    }
}

/// The kind of an error. A refusal by a server that works otherwise does not count as a failure.
fn kind(error: &RedisError) -> RemoteError {
    match error.kind() {
        _ if error.is_timeout() => RemoteError::Timeout,
        ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown) => {
            RemoteError::Connection
        }
        ErrorKind::Server(_) | ErrorKind::Extension => RemoteError::Refused,
        _ => RemoteError::Connection,
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("servers", &self.options.servers).field("breaker", &self.breaker).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(1);

    async fn waited(seconds: u64, arrivals: Option<&AtomicU64>) -> Result<(), Elapsed> {
        Deadline { limit: DEADLINE, arrivals }.wait(tokio::time::sleep(Duration::from_millis(seconds * 1000 - 100))).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_beyond_its_deadline_is_late() {
        assert!(waited(1, None).await.is_ok());
        assert!(waited(2, None).await.is_err());
        assert!(waited(2, Some(&AtomicU64::new(0))).await.is_err(), "nothing arrives");
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_behind_one_that_arrives_is_not_late() {
        let arrivals = AtomicU64::new(0);
        let all = (1..=8).map(|second| waited(second, Some(&arrivals)));
        assert!(futures_util::future::join_all(all).await.iter().all(Result::is_ok));
        assert!(waited(3, Some(&arrivals)).await.is_err(), "the last has come");
    }
}
