//! How limits and their clients stand, as `GET /limits` tells it and the command line reads it.

use std::collections::BTreeMap;
use std::time::Duration;

use larder_limits::Algorithm;
use larder_redis::LimitAsk;
use larder_semantics::Timestamp;
use serde::{Deserialize, Serialize};

use super::RunningLimit;
use super::shared::Telling;
use crate::config::{Amount, display_duration};
use crate::telemetry::access_log::timestamp;

/// One limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LimitReport {
    pub(crate) name: String,
    /// `requests`, `misses`, `bytes`, `tokens` or `cost`.
    pub(crate) count: String,
    /// Units in the time `per_seconds`; of a cost, in the currency of the prices.
    pub(crate) max: Amount,
    pub(crate) per_seconds: f64,
    /// Units that may be had at once.
    pub(crate) burst: Amount,
    /// Where it is a limit of a quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quota: Option<WindowReport>,
    pub(crate) shared: bool,
    /// Clients that this replica knows.
    pub(crate) clients: u64,
    /// Requests since the start, by what became of them.
    pub(crate) requests: BTreeMap<String, u64>,
}

/// The window of the calendar that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WindowReport {
    /// The quota's name.
    pub(crate) name: String,
    /// `hour`, `day` or `month`.
    pub(crate) per: String,
    pub(crate) timezone: String,
    /// As of RFC 3339.
    pub(crate) ends_at: String,
}

/// One client of a limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClientReport {
    /// What tells it apart; credentials in it are hashes.
    pub(crate) key: String,
    pub(crate) used: Amount,
    pub(crate) max: Amount,
    pub(crate) remaining: Amount,
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

/// The same of each limit of a quota.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct QuotaReport<T> {
    pub(crate) quota: String,
    pub(crate) limits: Vec<T>,
}

/// One client of one limit of a quota.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LimitClientReport {
    /// The limit's name.
    pub(crate) limit: String,
    #[serde(flatten)]
    pub(crate) client: ClientReport,
}

impl LimitReport {
    /// What it gives, in words.
    pub(crate) fn gives(&self) -> String {
        match &self.quota {
            Some(window) => format!("{} {} a {}", self.max, self.count, window.per),
            None => format!("{} {} in {}", self.max, self.count, display_duration(Duration::from_secs_f64(self.per_seconds))),
        }
    }

    /// Requests that have had this outcome.
    pub(crate) fn outcome(&self, outcome: &str) -> u64 {
        self.requests.get(outcome).copied().unwrap_or_default()
    }
}

impl RunningLimit {
    pub(crate) fn report(&self) -> LimitReport {
        let (settings, snapshot) = (&self.settings, self.snapshot());
        let of_bucket = settings.algorithm == Algorithm::TokenBucket;
        LimitReport {
            name: snapshot.limit,
            count: settings.count.as_str().to_owned(),
            max: self.amount(settings.max),
            per_seconds: settings.per.as_secs_f64(),
            burst: self.amount(if of_bucket { settings.burst } else { settings.max }),
            quota: self.window_report(),
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
        if let Some(together) = self.together() {
            let (ask, telling) = together.ask(self, key);
            // Nobody is warned by a look, so that a request is.
            let ask = LimitAsk { least: 0, most: 0, told_at: 0, ..ask };
            if let Ok(grants) = together.redis().limit(&[ask]).await {
                telling.into_iter().for_each(Telling::settled);
                let grant = grants.first()?;
                return (grant.reset > 0).then(|| self.client_report(key, grant.used, grant.remaining, grant.reset));
            }
        }
        self.known_client(key)
    }

    fn known_client(&self, key: &str) -> Option<ClientReport> {
        let (table, now) = (self.table(), self.now());
        let used = table.used(key, now)?;
        let standing = table.look(key, now, 1);
        (standing.reset > 0).then(|| self.client_report(key, used, standing.remaining, standing.reset))
    }

    fn client_report(&self, key: &str, used: u64, remaining: u64, reset: u64) -> ClientReport {
        ClientReport {
            key: key.to_owned(),
            used: self.amount(used),
            max: self.amount(self.table().rate().capacity()),
            remaining: self.amount(remaining),
            reset_in_seconds: reset.div_ceil(1_000_000),
        }
    }

    fn amount(&self, units: u64) -> Amount {
        self.settings.count.as_people_count(units)
    }

    fn window_report(&self) -> Option<WindowReport> {
        let quota = self.settings.quota.as_ref()?;
        Some(WindowReport {
            name: quota.quota.to_string(),
            per: quota.period.as_str().to_owned(),
            timezone: quota.zone.iana_name().unwrap_or("UTC").to_owned(),
            ends_at: timestamp(Timestamp::from_millis(self.window_end()?.saturating_mul(1000))),
        })
    }

    /// Gives a client back all that it has used; tells how it stood before, where it had used anything. An error is for people.
    pub(crate) async fn forgive(&self, key: &str) -> Result<Option<ClientReport>, String> {
        let before = self.client(key).await;
        if let Some(together) = self.together() {
            let forgotten = together.redis().forget_limit(&self.settings.name, key).await;
            forgotten.map_err(|error| format!("Redis was not told, so other replicas still count: {error}"))?;
            together.forget(key);
        }
        self.table().forget(key);
        Ok(before)
    }
}
