//! How limits and their clients stand, as `GET /limits` tells it and the command line reads it.

use std::collections::BTreeMap;

use larder_limits::Algorithm;
use larder_redis::LimitAsk;
use serde::{Deserialize, Serialize};

use super::RunningLimit;

/// One limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LimitReport {
    pub(crate) name: String,
    /// `requests`, `misses` or `bytes`.
    pub(crate) count: String,
    /// Units in the time `per_seconds`.
    pub(crate) max: u64,
    pub(crate) per_seconds: f64,
    /// Units that may be had at once.
    pub(crate) burst: u64,
    pub(crate) shared: bool,
    /// Clients that this replica knows.
    pub(crate) clients: u64,
    /// Requests since the start, by what became of them.
    pub(crate) requests: BTreeMap<String, u64>,
}

/// One client of a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClientReport {
    /// What tells it apart; credentials in it are hashes.
    pub(crate) key: String,
    pub(crate) used: u64,
    pub(crate) max: u64,
    pub(crate) remaining: u64,
    /// Until it has everything again.
    pub(crate) reset_in_seconds: u64,
}

/// One limit with its clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClientsReport {
    pub(crate) limit: LimitReport,
    /// Those that have used most come first. Of a shared limit they stand here as this replica knows them.
    pub(crate) clients: Vec<ClientReport>,
}

impl RunningLimit {
    pub(crate) fn report(&self) -> LimitReport {
        let (settings, snapshot) = (&self.settings, self.snapshot());
        let of_bucket = settings.algorithm == Algorithm::TokenBucket;
        LimitReport {
            name: snapshot.limit,
            count: settings.count.as_str().to_owned(),
            max: settings.max,
            per_seconds: settings.per.as_secs_f64(),
            burst: if of_bucket { settings.burst } else { settings.max },
            shared: settings.shared,
            clients: snapshot.keys,
            requests: snapshot.requests.into_iter().map(|counted| (counted.label.to_owned(), counted.count)).collect(),
        }
    }

    /// The clients that have used most, so many at most.
    pub(crate) fn clients(&self, most: usize) -> ClientsReport {
        let clients = self.table().busiest(self.now(), most).into_iter().filter_map(|(key, _)| self.known_client(&key)).collect();
        ClientsReport { limit: self.report(), clients }
    }

    /// One client: as all replicas together know it where Redis answers, and as this one does otherwise. `None`: it has used nothing.
    pub(crate) async fn client(&self, key: &str) -> Option<ClientReport> {
        if let Some(shared) = self.shared() {
            let ask = LimitAsk { least: 0, most: 0, ..shared.ask(&self.settings, key) };
            if let Ok(grants) = shared.redis().limit(&[ask]).await {
                shared.settled(&ask);
                let grant = grants.first()?;
                let max = self.table().rate().capacity();
                let used = max.saturating_sub(grant.remaining);
                let reset_in_seconds = grant.reset.div_ceil(1_000_000);
                return (grant.reset > 0).then(|| ClientReport {
                    key: key.to_owned(),
                    used,
                    max,
                    remaining: grant.remaining,
                    reset_in_seconds,
                });
            }
        }
        self.known_client(key)
    }

    fn known_client(&self, key: &str) -> Option<ClientReport> {
        let (table, now) = (self.table(), self.now());
        let used = table.used(key, now)?;
        let standing = table.look(key, now, 1);
        Some(ClientReport {
            key: key.to_owned(),
            used,
            max: table.rate().capacity(),
            remaining: standing.remaining,
            reset_in_seconds: standing.reset.div_ceil(1_000_000),
        })
    }

    /// Gives a client back all that it has used; tells how it stood before, where it had used anything. An error is for people.
    pub(crate) async fn forgive(&self, key: &str) -> Result<Option<ClientReport>, String> {
        let before = self.client(key).await;
        if let Some(shared) = self.shared() {
            let forgotten = shared.redis().forget_limit(&self.settings.name, key).await;
            forgotten.map_err(|error| format!("Redis was not told, so other replicas still count: {error}"))?;
            shared.forget(key);
        }
        self.table().forget(key);
        Ok(before)
    }
}
