//! The tier in Redis, as the gateway holds it: started from the configuration, read off for metrics and probes.

use std::sync::Arc;
use std::time::Duration;

use larder_redis::{Clocks, Message, RedisOptions, RedisStore, ReplicaInfo, ServerInfo};
use larder_semantics::PrimaryKey;
use larder_store::BreakerState;
use larder_store::Ledger;
use larder_tower::{FetchError, Tiers, clock};
use tracing::warn;

use crate::checks::Replicas;
use crate::routing::KeyNames;
use crate::telemetry::metrics::RedisMetrics;
use crate::telemetry::snapshot::RedisSnapshot;
use crate::upstream::{SharedChecks, UpstreamError};

/// How long the last writes may take when the process stops.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// The store with what is counted for it.
#[derive(Clone)]
pub(crate) struct Redis {
    store: RedisStore,
    metrics: Arc<RedisMetrics>,
}

impl Redis {
    /// Starts it. It need not be there. The others know this replica by its `name`.
    pub(crate) fn start(options: &RedisOptions, namespace: &str, name: &str, ledger: Arc<Ledger>) -> Result<Self, String> {
        let servers = options.servers.clone();
        let options = RedisOptions { prefix: prefix(namespace), replica: name.to_owned(), ..options.clone() };
        let clocks = Clocks { monotonic: clock::monotonic, wall: Some(clock::wall) };
        let metrics = Arc::new(RedisMetrics::default());
        let store = RedisStore::start(options, clocks, ledger, Some(Arc::clone(&metrics) as _));
        let store = store.map_err(|error| format!("Redis at {servers}: {error}"))?;
        Ok(Self { store, metrics })
    }

    /// The store itself.
    pub(crate) fn store(&self) -> &RedisStore {
        &self.store
    }

    /// From now on the keys of what has a name begin with it.
    pub(crate) fn name_keys(&self, names: Option<Arc<KeyNames>>) {
        self.store.name_keys(names.map(|names| Arc::new(move |key: &PrimaryKey| names.name(key)) as _));
    }

    /// As what replicas share their health checks by.
    pub(crate) fn shared_checks(&self) -> Arc<dyn SharedChecks> {
        Arc::new(Replicas(self.store.clone()))
    }

    /// As the last tier, with the log.
    pub(crate) fn behind(&self, tiers: Tiers) -> Tiers {
        let failure_word = |error: &FetchError| error.downcast_ref::<UpstreamError>()?.shared_word();
        tiers.then(Arc::new(self.store.clone())).with_log(self.store.log()).failure_words(failure_word)
    }

    /// Waits until it is connected, or has had its time: requests that come before would be misses, whatever is stored there.
    pub(crate) async fn connected(&self) {
        if !self.store.usable().await {
            let problem = self.store.problem().unwrap_or_else(|| "Redis has not answered yet".to_owned());
            warn!("{problem}; starting without it");
        }
    }

    /// Hands on what others say on a channel.
    pub(crate) fn listen<F>(&self, channel: String, carry_out: impl Fn(Vec<Message>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.store.listen(channel, carry_out);
    }

    /// Says goodbye to the other replicas, and waits a little for what is still to be written, so that they and the next process find it:
    /// purges that Redis did not take at first, before anything else.
    pub(crate) async fn drain(&self) {
        let left = self.store.publish_kept(LAST_WRITES).await;
        if left > 0 {
            warn!("{left} purges could not be told to the other replicas in time");
        }
        self.store.leave().await;
        if !self.store.drain(LAST_WRITES).await {
            warn!("{} responses could not be written to Redis in time", self.store.stats().queued);
        }
    }

    /// The figures for metrics.
    pub(crate) fn snapshot(&self) -> RedisSnapshot {
        self.metrics.snapshot(&self.store.stats(), self.store.servers())
    }

    /// Publishes a message on a channel. An error is for people.
    pub(crate) async fn publish(&self, channel: &str, message: &[u8]) -> Result<(), String> {
        self.store.publish(channel, message).await.map_err(|error| error.to_string())
    }

    /// The replicas, this one first.
    pub(crate) fn replicas(&self) -> Vec<ReplicaInfo> {
        self.store.replicas()
    }

    /// The problem with it now, in words for people; `None` while it works.
    pub(crate) fn problem(&self) -> Option<String> {
        self.store.problem()
    }

    /// For `/readyz`: how it stands, which never makes the process unready.
    pub(crate) fn detail(&self) -> serde_json::Value {
        let stats = self.store.stats();
        let state = match (stats.breaker, stats.log_lag) {
            (BreakerState::Open | BreakerState::HalfOpen, _) => "failing",
            (BreakerState::Closed, None) => "connecting",
            // Purges are not heard, or not told.
            (BreakerState::Closed, Some(_)) if !stats.log_vouched || !stats.log_takes_purges => "failing",
            (BreakerState::Closed, Some(_)) => "ok",
        };
        let servers: Vec<_> = self.store.servers().iter().map(server).collect();
        serde_json::json!({
            "state": state,
            "problem": self.store.problem(),
            "journal": self.store.journal_problem(),
            "concerns": self.store.concerns(),
            "log_damaged": stats.log_damaged,
            "log_lag_seconds": stats.log_lag.map(|lag| lag.as_secs()),
            "servers": servers,
        })
    }
}

/// The prefix of all keys in Redis, the log's among them: a purge of everything is one of everything in the namespace.
pub(crate) fn prefix(namespace: &str) -> String {
    if namespace == "default" { "larder".to_owned() } else { format!("larder:{namespace}") }
}

fn server(server: &ServerInfo) -> serde_json::Value {
    serde_json::json!({
        "address": server.address,
        "version": server.version,
        "used_memory": server.used_memory,
        "max_memory": server.max_memory,
        "policy": server.policy,
        "evicted": server.evicted,
    })
}
