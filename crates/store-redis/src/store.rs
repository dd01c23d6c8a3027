//! The tier as its users see it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use larder_redis_options::{RedisOptions, WriteMode};
use larder_store::{InvalidationLog, Lease, Ledger, LoadRequest, Loaded, RemoteError, RemoteStore, StoreFuture, StoredResponse, Write};

use crate::channel::{self, Message};
use crate::entry::{Queue, Tier, WriteTask, keep_sweeping, load, work};
use crate::journal::Journal;
use crate::link::{Clocks, Lane, Link, Operation, RedisObserver};
use crate::log::{self, Log, ReplicaInfo, Replicas, ServerInfo};
use crate::stats::RedisStats;
use crate::value::NameOfKey;

/// Redis or Valkey as the tier behind the memory.
#[derive(Clone, Debug)]
pub struct RedisStore(Arc<Tier>);

/// Why the tier cannot be started at all. A server that is away is no reason.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The servers cannot be spoken to in this way, whether they are there or not.
    #[error("the servers cannot be spoken to: {}", .0.category())]
    Servers(#[from] redis::RedisError),
    /// The journal's file.
    #[error("the journal cannot be opened: {0}")]
    Journal(io::Error),
}

impl RedisStore {
    /// Starts the tier, with its log of invalidations going into `ledger`. Nothing is connected yet, and nothing here waits for Redis
    /// ([`Self::usable`] does); has to be called within a runtime.
    pub fn start(
        options: RedisOptions,
        clocks: Clocks,
        ledger: Arc<Ledger>,
        observer: Option<Arc<dyn RedisObserver>>,
    ) -> Result<Self, StartError> {
        let journal = Journal::open(options.journal.as_deref()).map_err(StartError::Journal)?;
        let (queue, jobs) = Queue::new(options.write_queue);
        let link = Link::new(options, clocks, observer)?;
        let log = Arc::new(Log::new(Arc::clone(&link), ledger, journal));
        tokio::spawn(log::follow(Arc::downgrade(&log)));
        tokio::spawn(log::keep_looking(Arc::downgrade(&log)));
        let everything = log.everything.subscribe();
        let tier = Arc::new(Tier::new(link, queue, log));
        tokio::spawn(keep_sweeping(Arc::downgrade(&tier), everything));
        tokio::spawn(work(Arc::downgrade(&tier), jobs));
        Ok(Self(tier))
    }

    /// The log of invalidations.
    pub fn log(&self) -> Arc<dyn InvalidationLog> {
        Arc::<Log>::clone(&self.0.log)
    }

    /// From now on keys of entries begin with their names, where they have one, for people who look into Redis.
    pub fn name_keys(&self, names: Option<Arc<NameOfKey>>) {
        self.0.names.set(names);
    }

    /// Hands over what others publish on `channel`, all that has come at a time, for as long as the store lives.
    pub fn listen<F>(&self, channel: String, handle: impl Fn(Vec<Message>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(channel::listen(Arc::downgrade(&self.0), channel, handle));
    }

    /// Publishes a message on a channel, for whoever hears it now.
    ///
    /// # Errors
    /// Where Redis cannot be used, or the user may not publish there.
    pub async fn publish(&self, channel: &str, message: &[u8]) -> Result<(), RemoteError> {
        let work = |mut connection| async move {
            redis::cmd("PUBLISH").arg(channel).arg(message).query_async::<redis::Value>(&mut connection).await.map(drop)
        };
        self.0.link.run(Operation::Announce, Lane::Small, work).await
    }

    /// Waits until what others have stored can be used, at most for `connect_timeout`; `false` if it cannot be by then.
    pub async fn usable(&self) -> bool {
        let time_limit = self.0.link.options().connect_timeout;
        tokio::time::timeout(time_limit, self.0.log.read_once()).await.is_ok()
    }

    /// Waits until all that was to be written is written or given up, at most so long; `false` if something is left.
    pub async fn drain(&self, time_limit: Duration) -> bool {
        tokio::time::timeout(time_limit, self.0.queue.idle()).await.is_ok()
    }

    /// Puts what is kept for the log of invalidations into it, within so long; returns how many invalidations are left that no other replica
    /// knows of, and that end with this process unless a journal has them.
    pub async fn publish_kept(&self, time_limit: Duration) -> usize {
        self.0.log.publish_rest(time_limit).await
    }

    /// Reports that this replica stops, so that purges need not wait for it. To be called once it serves nothing more.
    pub async fn leave(&self) {
        self.0.log.leave().await;
    }

    /// Figures for metrics.
    pub fn stats(&self) -> RedisStats {
        let Tier { link, queue, counters, log, .. } = &*self.0;
        RedisStats {
            hits: counters.hits.get(),
            misses: counters.misses.get(),
            awaited: counters.awaited.get(),
            relayed: counters.relayed.get(),
            relays: counters.relays.get(),
            damaged: counters.damaged.get(),
            locked: counters.locked.get(),
            interrupted: counters.interrupted.get(),
            saved_bytes: counters.saved_bytes.get(),
            written: counters.written.get(),
            dropped: counters.dropped.get(),
            queued: queue.jobs(),
            queued_bytes: queue.bytes(),
            log_number: log.applied(),
            log_lag: log.lag(),
            log_vouched: log.vouches(),
            log_takes_purges: log.writing.problem().is_none(),
            log_refused: log.refused.get(),
            log_damaged: log.damaged.get(),
            journaled: log.journal.len() as u64,
            breaker: link.breaker(),
        }
    }

    /// The servers, as they were when last asked.
    pub fn servers(&self) -> Vec<ServerInfo> {
        self.0.log.inspected().servers
    }

    /// The replicas that the registry in Redis names, this one first.
    pub fn replicas(&self) -> Vec<ReplicaInfo> {
        let log = &self.0.log;
        log.replicas.all(log.applied(), log.lag().unwrap_or_default())
    }

    /// Concerns about the servers, in words for people.
    pub fn concerns(&self) -> Vec<String> {
        self.0.log.inspected().concerns
    }

    /// Why purges that Redis does not have yet would be lost with this process, in words for people: the journal cannot be written.
    pub fn journal_problem(&self) -> Option<String> {
        self.0.log.journal.problem()
    }

    /// The problem with it now, in words for people; `None` while it works.
    pub fn problem(&self) -> Option<String> {
        self.0.link.problem().or_else(|| self.0.log.problem())
    }
}

impl RedisStore {
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.0.link
    }

    pub(crate) fn registered(&self) -> &Replicas {
        &self.0.log.replicas
    }

    async fn write(&self, job: WriteTask) {
        match self.0.link.options().write {
            WriteMode::Behind => self.0.push(job),
            WriteMode::Through => job.run(&self.0).await,
        }
    }

    /// A response that is too long is not written, nor is an earlier one left in its place, and no replica waits for it.
    async fn keep(&self, write: Write, job: fn(Write) -> WriteTask) {
        if write.response.body_length() <= self.0.link.options().max_object {
            return self.write(job(write)).await;
        }
        self.0.outdate(&write.response);
        write.lease.into_iter().for_each(Lease::not_shared);
    }
}

impl RemoteStore for RedisStore {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn load<'a>(&'a self, ask: LoadRequest<'a>) -> StoreFuture<'a, Result<Loaded, RemoteError>> {
        Box::pin(async move {
            // Until the log has been read, it is not known which of the stored responses were invalidated.
            if !self.0.log.vouches() {
                return Err(RemoteError::Unvouched);
            }
            let mut loaded = load(&self.0, ask).await;
            let position = match &loaded {
                Ok(Loaded::Response(stored)) => Some(stored.position),
                Ok(Loaded::Arriving(arriving)) => Some(arriving.record.position()),
                Ok(Loaded::Relayed(relayed)) => Some(relayed.record.position()),
                _ => None,
            };
            if let Some(position) = position
                && !self.0.log.reaches(position).await
            {
                loaded = Err(RemoteError::Unvouched);
            }
            let counters = &self.0.counters;
            match &loaded {
                Ok(Loaded::Response(_) | Loaded::Arriving(_)) => counters.hits.add(),
                // One that looks on for another replica's fetch, and waits no longer.
                Ok(Loaded::Nothing(None)) if ask.awaited.is_some() && ask.lease.is_none() => counters.awaited.add(),
                Ok(Loaded::Nothing(_)) => counters.misses.add(),
                Ok(Loaded::Awaited(_)) => counters.awaited.add(),
                Ok(Loaded::Relayed(_)) => counters.relayed.add(),
                Ok(Loaded::Failed(_)) | Err(_) => {}
            }
            loaded
        })
    }

    fn commit(&self, write: Write) -> StoreFuture<'_, ()> {
        Box::pin(self.keep(write, WriteTask::Commit))
    }

    fn freshen(&self, write: Write) -> StoreFuture<'_, ()> {
        Box::pin(self.keep(write, WriteTask::Freshen))
    }

    fn remove(&self, response: &StoredResponse) {
        self.0.remove(response);
    }

    fn outdate(&self, response: &StoredResponse) {
        self.0.outdate(response);
    }

    fn takes(&self, length: u64) -> bool {
        length <= self.0.link.options().max_object
    }

    fn silenced(&self, token: u64) -> StoreFuture<'_, ()> {
        Box::pin(self.0.watched.silenced(token))
    }

    fn shares_failures_after(&self) -> Duration {
        self.0.link.options().timeout
    }
}
