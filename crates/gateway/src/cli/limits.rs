//! `larder limits`: how limits and their clients stand, and what models have cost them and saved.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::admin_client::AdminFlags;
use super::paper::Paper;
use super::spending;
use crate::config::display_duration;
use crate::limits::{ClientReport, ClientsReport, LimitClientReport, LimitReport, QuotaReport};
use crate::spending::SpendingReport;

/// `larder limits`
#[derive(Debug, Args)]
pub struct Limits {
    /// Only this limit, or the limits of this quota, with the clients that have used most
    #[arg(value_name = "LIMIT")]
    pub name: Option<String>,
    /// Only this client, as it stands in that list
    #[arg(value_name = "CLIENT", requires = "name")]
    pub client: Option<String>,
    /// Give the client back what it has used
    #[arg(long, requires = "client")]
    pub give_back: bool,
    /// The gateway.
    #[command(flatten)]
    pub gateway: AdminFlags,
}

impl Limits {
    /// Asks, and prints a table.
    pub fn run(&self) -> ExitCode {
        self.gateway.run(self.text())
    }

    async fn text(&self) -> Result<String, String> {
        let parts = ["/limits"].into_iter().map(str::to_owned);
        let target: String =
            parts.chain([&self.name, &self.client].into_iter().flatten().map(|part| format!("/{}", encoded(part)))).collect();
        if self.give_back {
            let answer = self.gateway.delete(&target).await?;
            if self.gateway.json {
                return Ok(format!("{answer:#}"));
            }
            let before: OneOrQuota<ClientReport, LimitClientReport> = self.gateway.known(answer)?;
            return Ok(before
                .map(|one| vec![given_back(one)], |several| several.iter().map(|one| given_back(&one.client)).collect())
                .join("\n"));
        }
        let answer = self.gateway.get(&target).await?;
        if self.gateway.json {
            return Ok(format!("{answer:#}"));
        }
        let mut paper = Paper::for_stdout();
        match (&self.name, &self.client) {
            (_, Some(_)) => match self.gateway.known(answer)? {
                OneOrQuota::One(client) => write_clients(&mut paper, &[client]),
                OneOrQuota::Quota(QuotaReport { limits, .. }) => write_client(&mut paper, &limits),
            },
            (Some(_), None) => {
                let reports: OneOrQuota<ClientsReport, ClientsReport> = self.gateway.known(answer)?;
                for report in &reports.map(|one| vec![one.clone()], <[_]>::to_vec) {
                    write_limits(&mut paper, std::slice::from_ref(&report.limit));
                    paper.gap();
                    write_clients(&mut paper, &report.clients);
                    paper.gap();
                }
            }
            (None, None) => {
                write_limits(&mut paper, &self.gateway.known::<Vec<LimitReport>>(answer)?);
                // A gateway of an earlier version has no such thing.
                if let Ok(spending) = self.gateway.get("/spending").await {
                    spending::write(&mut paper, &self.gateway.known::<SpendingReport>(spending)?);
                }
            }
        }
        Ok(paper.text())
    }
}

/// What is said of one limit, or of each limit of a quota.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrQuota<T, Q> {
    Quota(QuotaReport<Q>),
    One(T),
}

impl<T, Q> OneOrQuota<T, Q> {
    fn map<R>(&self, one: impl FnOnce(&T) -> R, quota: impl FnOnce(&[Q]) -> R) -> R {
        match self {
            Self::One(report) => one(report),
            Self::Quota(QuotaReport { limits, .. }) => quota(limits),
        }
    }
}

fn given_back(before: &ClientReport) -> String {
    format!("{} given back", before.used)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn write_limits(paper: &mut Paper, limits: &[LimitReport]) {
    let row = |limit: &LimitReport| {
        let mut row = vec![limit.name.clone(), limit.gives(), limit.clients.to_string()];
        row.extend(["admitted", "delayed", "stale", "refused", "observed"].map(|outcome| limit.outcome(outcome).to_string()));
        row
    };
    let rows: Vec<Vec<String>> = limits.iter().map(row).collect();
    paper.table(&["limit", "gives", "clients", "admitted", "delayed", "stale", "refused", "observed"], &rows);
}

fn write_clients(paper: &mut Paper, clients: &[ClientReport]) {
    let rows: Vec<Vec<String>> = clients.iter().map(|client| client_row(client.key.clone(), client)).collect();
    paper.table(&["client", "used", "left", "of", "all again in"], &rows);
}

/// One client under each limit of a quota.
fn write_client(paper: &mut Paper, limits: &[LimitClientReport]) {
    let rows: Vec<Vec<String>> = limits.iter().map(|one| client_row(one.limit.clone(), &one.client)).collect();
    paper.table(&["limit", "used", "left", "of", "all again in"], &rows);
}

fn client_row(name: String, client: &ClientReport) -> Vec<String> {
    let reset = display_duration(Duration::from_secs(client.reset_in_seconds));
    vec![name, client.used.to_string(), client.remaining.to_string(), client.max.to_string(), reset]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Amount;
    use crate::limits::WindowReport;

    #[test]
    fn each_limit_and_each_client_has_a_row() {
        let requests = [("admitted".to_owned(), 7), ("refused".to_owned(), 3)].into();
        let limit = LimitReport {
            name: "per-client".to_owned(),
            count: "misses".to_owned(),
            max: Amount::Units(100),
            per_seconds: 60.0,
            requests,
            ..LimitReport::default()
        };
        let quota = LimitReport {
            name: "llm.cost.month".to_owned(),
            count: "cost".to_owned(),
            max: Amount::Sum(25.0),
            quota: Some(WindowReport { per: "month".to_owned(), ..WindowReport::default() }),
            ..LimitReport::default()
        };
        let [used, max, remaining] = [40, 100, 60].map(Amount::Units);
        let client = ClientReport { key: "192.0.2.1".to_owned(), used, max, remaining, reset_in_seconds: 24 };
        let mut paper = Paper::plain();
        write_limits(&mut paper, &[limit, quota]);
        write_clients(&mut paper, &[client]);
        let text = paper.text();
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["per-client", "100", "misses", "in", "1m", "0", "7", "0", "0", "3", "0"], "{text}");
        assert_eq!(words[2][..5], ["llm.cost.month", "25", "cost", "a", "month"], "{text}");
        assert_eq!(words[4], ["192.0.2.1", "40", "60", "100", "24s"], "{text}");
    }

    #[test]
    fn what_is_said_of_a_quota_is_told_from_what_is_said_of_a_limit() {
        let client = ClientReport { key: "blue".to_owned(), used: Amount::Units(40), ..ClientReport::default() };
        let one = serde_json::to_value(&client).expect("JSON");
        let limits =
            ["llm.tokens.day", "llm.cost.month"].map(|limit| LimitClientReport { limit: limit.to_owned(), client: client.clone() });
        let quota = serde_json::to_value(QuotaReport { quota: "llm".to_owned(), limits: limits.to_vec() }).expect("JSON");
        let known = |value| serde_json::from_value::<OneOrQuota<ClientReport, LimitClientReport>>(value).expect("it is known");
        let names = |value| known(value).map(|one| vec![one.key.clone()], |several| several.iter().map(|one| one.limit.clone()).collect());
        assert_eq!((names(one), names(quota)), (vec!["blue".to_owned()], vec!["llm.tokens.day".to_owned(), "llm.cost.month".to_owned()]));
    }
}
