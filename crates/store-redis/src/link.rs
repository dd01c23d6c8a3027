//! The connections, the deadline of every operation, and the breaker before them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use larder_store::RemoteError;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tracing::{info, warn};

use crate::breaker::{Breaker, BreakerState};
use crate::options::RedisOptions;
use crate::stats::{Operation, RedisObserver};

/// How often it is asked whether it works again while the breaker is open.
const RECOVERY: Duration = Duration::from_millis(250);

/// How many of these pass between two warnings that it still does not: a minute.
const RECOVERIES_PER_WARNING: u32 = 240;

/// Commands that may wait in one connection's buffer. The client's own default of 50 makes a busy proxy wait for room.
const PIPELINE: usize = 1024;

/// Which connection an operation takes: a long body must not stand before a look-up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lane {
    Small,
    Bulk,
}

/// See the module's page.
pub(crate) struct Link {
    options: RedisOptions,
    client: Client,
    small: Mutex<ConnectionManager>,
    bulk: Mutex<ConnectionManager>,
    breaker: Breaker,
    observer: Option<Arc<dyn RedisObserver>>,
    /// What the last failure said.
    problem: Mutex<Option<String>>,
    recovering: AtomicBool,
}

impl Link {
    pub(crate) fn new(options: RedisOptions, observer: Option<Arc<dyn RedisObserver>>) -> RedisResult<Arc<Self>> {
        let client = Client::open(options.url.info())?;
        let small = Mutex::new(connect(&client, &options)?);
        let bulk = Mutex::new(connect(&client, &options)?);
        let breaker = Breaker::new(options.breaker_failures, options.breaker_open);
        let link = Self { options, client, small, bulk, breaker, observer, problem: Mutex::default(), recovering: AtomicBool::new(false) };
        Ok(Arc::new(link))
    }

    pub(crate) fn options(&self) -> &RedisOptions {
        &self.options
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn breaker(&self) -> BreakerState {
        self.breaker.state((self.options.monotonic)())
    }

    /// What is wrong now, for people.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One operation under its own deadline, which waiting for a connection counts against.
    pub(crate) async fn run<T, F>(
        self: &Arc<Self>,
        operation: Operation,
        lane: Lane,
        work: impl FnOnce(ConnectionManager) -> F,
    ) -> Result<T, RemoteError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let started = (self.options.monotonic)();
        let Some(pass) = self.breaker.pass(started) else { return Err(RemoteError::Open) };
        let outcome = tokio::time::timeout(self.options.timeout, work(self.connection(lane))).await;
        let now = (self.options.monotonic)();
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
                    _ if pass.failed(now) => self.opened(error.to_string()),
                    _ => {}
                }
                Err(kind)
            }
            Err(_) => {
                if pass.failed(now) {
                    self.opened(format!("no answer within {} ms", self.options.timeout.as_millis()));
                }
                Err(RemoteError::Timeout)
            }
        };
        if let Some(observer) = &self.observer {
            observer.operation(operation, outcome.as_ref().map(|_| ()).map_err(|error| *error), now.saturating_duration_since(started));
        }
        outcome
    }

    fn connection(&self, lane: Lane) -> ConnectionManager {
        let lane = match lane {
            Lane::Small => &self.small,
            Lane::Bulk => &self.bulk,
        };
        lane.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// New connections: an old one may be stuck for as long as the kernel goes on sending, long after the server is well again.
    fn reconnect(&self) -> RedisResult<()> {
        for lane in [&self.small, &self.bulk] {
            *lane.lock().unwrap_or_else(PoisonError::into_inner) = connect(&self.client, &self.options)?;
        }
        Ok(())
    }

    /// Asks it in the background until it works, so that no request has to find out.
    fn opened(self: &Arc<Self>, problem: String) {
        warn!("Redis at {} does not answer ({problem}); going on with what is in memory", self.options.url);
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
        if !self.recovering.swap(true, Ordering::Relaxed) {
            tokio::spawn(recover(Arc::downgrade(self)));
        }
    }

    /// Connects and asks for a sign of life.
    pub(crate) async fn ping(&self) -> Result<(), String> {
        self.reconnect().map_err(|error| error.to_string())?;
        let mut connection = self.connection(Lane::Small);
        let ping = async { redis::cmd("PING").query_async::<()>(&mut connection).await };
        // Connecting may take its own time; the answer has to be there within the deadline, which is the connection's own.
        match tokio::time::timeout(self.options.connect_timeout + self.options.timeout, ping).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("no answer".to_owned()),
        }
    }
}

async fn recover(link: Weak<Link>) {
    for attempt in 1.. {
        tokio::time::sleep(RECOVERY).await;
        let Some(link) = link.upgrade() else { return };
        match link.ping().await {
            Ok(()) => {
                *link.problem.lock().unwrap_or_else(PoisonError::into_inner) = None;
                link.recovering.store(false, Ordering::Relaxed);
                link.breaker.close();
                info!("Redis at {} answers again", link.options.url);
                return;
            }
            Err(problem) => {
                if attempt % RECOVERIES_PER_WARNING == 0 {
                    warn!("Redis at {} still does not answer: {problem}", link.options.url);
                }
                *link.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
            }
        }
    }
}

fn connect(client: &Client, options: &RedisOptions) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(options.connect_timeout))
        .set_response_timeout(Some(options.timeout))
        // Trying again is the breaker's business.
        .set_number_of_retries(0)
        .set_pipeline_buffer_size(PIPELINE);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

/// What an error means for us. Only a refusal of a server that is well otherwise is not held against it.
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
        f.debug_struct("Link").field("url", &self.options.url.to_string()).field("breaker", &self.breaker).finish_non_exhaustive()
    }
}
