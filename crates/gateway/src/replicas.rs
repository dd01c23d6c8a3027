//! The replicas that share this one's log of invalidations, for people who look.

use larder_redis::ReplicaInfo;
use serde::{Deserialize, Serialize};

use crate::redis::Redis;

/// The log, and who follows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReplicasReport {
    /// Whether there is a log that replicas share: without Redis this one is alone.
    pub(crate) shared: bool,
    /// The last entry that is known of.
    pub(crate) position: u64,
    /// How long ago this replica saw that there is nothing new; `None` before the log was first read to its end.
    pub(crate) lag_seconds: Option<f64>,
    /// Why the log cannot be used now.
    pub(crate) problem: Option<String>,
    /// Invalidations that the log does not have yet.
    pub(crate) journaled: u64,
    /// This replica first.
    pub(crate) replicas: Vec<ReplicaReport>,
}

/// One replica.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReplicaReport {
    /// Its host and port, where it says so.
    pub(crate) name: String,
    /// Its random name in Redis; empty without Redis.
    pub(crate) id: String,
    /// Whether it is the one that was asked.
    pub(crate) own: bool,
    /// `live`, or `silent`: it may be stopped or cut off.
    pub(crate) state: String,
    /// The entry of the log that it has applied last.
    pub(crate) applied: u64,
    /// How many entries it is behind.
    pub(crate) behind: u64,
    /// How long ago it said so.
    pub(crate) silent_seconds: f64,
    /// Whether it hears the channel on which applications publish.
    pub(crate) listens: bool,
}

/// All of them, as they stand now. Without Redis there is one, of this name, which has recorded so many invalidations.
pub(crate) fn report(redis: Option<&Redis>, name: &str, position: u64) -> ReplicasReport {
    let Some(redis) = redis else {
        let own = ReplicaReport { name: name.to_owned(), own: true, state: "live".to_owned(), applied: position, ..Default::default() };
        return ReplicasReport { position, lag_seconds: Some(0.0), replicas: vec![own], ..ReplicasReport::default() };
    };
    let (log, infos) = (redis.snapshot().log, redis.replicas());
    let position = infos.iter().map(|info| info.applied).max().unwrap_or_default();
    ReplicasReport {
        shared: true,
        position,
        lag_seconds: log.lag_seconds,
        problem: redis.problem(),
        journaled: log.journaled,
        replicas: infos.into_iter().map(|info| replica(info, position)).collect(),
    }
}

fn replica(info: ReplicaInfo, position: u64) -> ReplicaReport {
    ReplicaReport {
        state: if info.is_silent { "silent" } else { "live" }.to_owned(),
        behind: position.saturating_sub(info.applied),
        silent_seconds: info.silent.as_secs_f64(),
        name: info.name,
        id: info.id,
        own: info.own,
        applied: info.applied,
        listens: info.listens,
    }
}
