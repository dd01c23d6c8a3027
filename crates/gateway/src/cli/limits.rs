//! `larder limits`: how limits and their clients stand.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::admin_client::AdminFlags;
use super::paper::Paper;
use crate::config::display_duration;
use crate::limits::{ClientReport, ClientsReport, LimitReport};

/// `larder limits`
#[derive(Debug, Args)]
pub struct Limits {
    /// Only this limit, with the clients that have used most of it
    #[arg(value_name = "LIMIT")]
    pub name: Option<String>,
    /// Only this client of it, as it stands in that list
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
            let before: ClientReport = self.gateway.known(answer)?;
            return Ok(format!("{} given back", before.used));
        }
        let answer = self.gateway.get(&target).await?;
        if self.gateway.json {
            return Ok(format!("{answer:#}"));
        }
        let mut paper = Paper::for_stdout();
        match (&self.name, &self.client) {
            (_, Some(_)) => write_clients(&mut paper, &[self.gateway.known::<ClientReport>(answer)?]),
            (Some(_), None) => {
                let report: ClientsReport = self.gateway.known(answer)?;
                write_limits(&mut paper, std::slice::from_ref(&report.limit));
                paper.gap();
                write_clients(&mut paper, &report.clients);
            }
            (None, None) => write_limits(&mut paper, &self.gateway.known::<Vec<LimitReport>>(answer)?),
        }
        Ok(paper.text())
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn write_limits(paper: &mut Paper, limits: &[LimitReport]) {
    let count = |limit: &LimitReport, outcome: &str| limit.requests.get(outcome).copied().unwrap_or_default().to_string();
    let row = |limit: &LimitReport| {
        let gives = match &limit.quota {
            Some(window) => format!("{} {} a {}", limit.max, limit.count, window.per),
            None => format!("{} {} in {}", limit.max, limit.count, display_duration(Duration::from_secs_f64(limit.per_seconds))),
        };
        let mut row = vec![limit.name.clone(), gives, limit.clients.to_string()];
        row.extend(["admitted", "delayed", "stale", "refused", "observed"].map(|outcome| count(limit, outcome)));
        row
    };
    let rows: Vec<Vec<String>> = limits.iter().map(row).collect();
    paper.table(&["limit", "gives", "clients", "admitted", "delayed", "stale", "refused", "observed"], &rows);
}

fn write_clients(paper: &mut Paper, clients: &[ClientReport]) {
    let row = |client: &ClientReport| {
        let reset = display_duration(Duration::from_secs(client.reset_in_seconds));
        vec![client.key.clone(), client.used.to_string(), client.remaining.to_string(), client.max.to_string(), reset]
    };
    let rows: Vec<Vec<String>> = clients.iter().map(row).collect();
    paper.table(&["client", "used", "left", "of", "all again in"], &rows);
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
}
