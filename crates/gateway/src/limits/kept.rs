//! What clients have used of quotas that this process counts for itself, as another process takes it over. What replicas share is in Redis.

use std::sync::Arc;

use larder_limits::KnownClient;
use serde::{Deserialize, Serialize};

use super::{Limits, RunningLimit};

/// The running window of one limit of a quota.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptLimit {
    name: String,
    /// When the window ends, in seconds since 1970.
    ends_at: u64,
    clients: Vec<KeptClient>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptClient {
    key: Box<str>,
    used: u64,
    /// Whether people were warned.
    told: bool,
}

impl Limits {
    /// What another process has to know; empty where nobody else keeps anything.
    pub(crate) fn kept(&self) -> Vec<KeptLimit> {
        self.own_quotas().filter_map(kept).collect()
    }

    /// Whether there are quotas that nobody else keeps.
    pub(crate) fn has_own_quotas(&self) -> bool {
        self.own_quotas().next().is_some()
    }

    /// Takes over a window, where it is the one that runs; how many clients that were.
    pub(crate) fn restore(&self, kept: &KeptLimit) -> usize {
        let suits = |limit: &&Arc<RunningLimit>| *limit.settings.name == *kept.name && limit.window_end() == Some(kept.ends_at);
        let Some(limit) = self.own_quotas().find(suits) else { return 0 };
        let now = limit.now();
        for KeptClient { key, used, told } in &kept.clients {
            limit.table().restore(&KnownClient { key: key.clone(), used: *used, is_told: *told }, now);
        }
        kept.clients.len()
    }

    fn own_quotas(&self) -> impl Iterator<Item = &Arc<RunningLimit>> {
        self.all().iter().filter(|limit| limit.settings.quota.is_some() && limit.together().is_none())
    }
}

fn kept(limit: &Arc<RunningLimit>) -> Option<KeptLimit> {
    let (ends_at, now) = (limit.window_end()?, limit.now());
    let client = |KnownClient { key, used, is_told }| KeptClient { key, used, told: is_told };
    let clients = limit.table().known(now).into_iter().map(client).collect();
    Some(KeptLimit { name: limit.settings.name.to_string(), ends_at, clients })
}
