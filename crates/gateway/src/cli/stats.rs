//! `larder stats`: what the cache is worth.

use std::process::ExitCode;

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::admin_client::AdminFlags;
use super::paper::Paper;
use super::spending;
use crate::config::{display_bytes, display_duration};
use crate::figures::percent;
use crate::stats::{ModelStats, RouteStats, StatsReport, WindowReport};

/// `larder stats`
#[derive(Debug, Args)]
pub struct Stats {
    /// Only this route
    #[arg(long, value_name = "NAME")]
    pub route: Option<String>,
    /// The gateway.
    #[command(flatten)]
    pub gateway: AdminFlags,
}

impl Stats {
    /// Asks, and prints tables.
    pub fn run(&self) -> ExitCode {
        self.gateway.run(self.tables())
    }

    async fn tables(&self) -> Result<String, String> {
        let route = self.route.as_deref().map(|route| format!("?route={}", utf8_percent_encode(route, NON_ALPHANUMERIC)));
        let answer = self.gateway.get(&format!("/stats{}", route.unwrap_or_default())).await?;
        if self.gateway.json {
            return Ok(format!("{answer:#}"));
        }
        let mut paper = Paper::for_stdout();
        write(&mut paper, &self.gateway.known(answer)?);
        Ok(paper.text())
    }
}

const HEADS: [&str; 9] = ["", "requests", "5xx", "hits", "of bytes", "of origin time", "saved", "hit", "origin"];

fn write(paper: &mut Paper, report: &StatsReport) {
    if let Some(whole) = report.windows.first() {
        let mut routes: Vec<&RouteStats> = whole.routes.iter().filter(|route| route.requests > 0).collect();
        routes.sort_by(|one, other| other.requests.cmp(&one.requests).then_with(|| one.route.cmp(&other.route)));
        let mut rows: Vec<Vec<String>> = routes.into_iter().map(|route| row(&route.route, route)).collect();
        if rows.len() != 1 {
            rows.push(row(&whole.total.route, &whole.total));
        }
        paper.raw(&format!("since the start, {} ago", length(whole)));
        paper.table(&HEADS, &rows);
        paper.gap();
    }
    let lately: Vec<Vec<String>> =
        report.windows.iter().skip(1).map(|window| row(&format!("last {}", window.window), &window.total)).collect();
    paper.table(&HEADS, &lately);
    paper.gap();
    if !report.models.is_empty() {
        let rows: Vec<Vec<String>> = report.models.iter().map(model_row).collect();
        paper.table(&["tokens", "route", "", "of requests", "of answers", "price"], &rows);
        paper.gap();
    }
    spending::write_models(paper, &report.spending);
    let room = format!("{} of {}", display_bytes(report.stored_bytes), display_bytes(report.capacity_bytes));
    paper.line("stored", &format!("{} entries, {room}, {} evicted for room since the start", report.entries, report.evicted));
}

fn model_row(stats: &ModelStats) -> Vec<String> {
    let price = stats.price.map_or_else(|| "–".to_owned(), |price| format!("{price:.2}"));
    vec![stats.model.clone(), stats.route.clone(), stats.outcome.clone(), stats.input.to_string(), stats.output.to_string(), price]
}

fn length(window: &WindowReport) -> String {
    display_duration(std::time::Duration::from_secs(window.seconds.round() as u64))
}

fn row(name: &str, stats: &RouteStats) -> Vec<String> {
    let time = |milliseconds: Option<f64>| milliseconds.map_or_else(|| "–".to_owned(), |milliseconds| format!("{milliseconds:.2} ms"));
    vec![
        name.to_owned(),
        stats.requests.to_string(),
        stats.errors.to_string(),
        percent(stats.ratio_by_requests),
        percent(stats.ratio_by_bytes),
        percent(stats.ratio_by_time),
        format!("{:.1} s", stats.seconds_saved),
        time(stats.hit_milliseconds),
        time(stats.origin_milliseconds),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_has_a_row_and_the_last_minutes_another_table() {
        let route =
            |name: &str, requests| RouteStats { route: name.to_owned(), requests, ratio_by_requests: Some(0.5), ..RouteStats::default() };
        let window = |name: &str, seconds| WindowReport {
            window: name.to_owned(),
            seconds,
            total: route("all", 3),
            routes: vec![route("a", 1), route("b", 2), route("idle", 0)],
        };
        let saved =
            ModelStats { model: "gpt-4o".to_owned(), outcome: "saved".to_owned(), input: 812, price: Some(1.5), ..ModelStats::default() };
        let windows = vec![window("start", 90.0), window("1m", 60.0)];
        let report = StatsReport { windows, entries: 7, models: vec![saved], ..StatsReport::default() };
        let mut paper = Paper::plain();
        write(&mut paper, &report);
        let text = paper.text();
        let first: Vec<&str> = text.lines().map(|line| line.split_whitespace().next().unwrap_or_default()).collect();
        assert_eq!(first[..5], ["since", "requests", "b", "a", "all"], "{text}");
        assert!(text.contains("gpt-4o") && text.contains("812") && text.contains("1.50"), "{text}");
        assert!(text.contains("50.0 %") && text.contains("last 1m") && text.contains("7 entries"), "{text}");
    }
}
