//! Routes, and the URLs that stand out.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::endpoints::Shared;
use super::super::stats::report;
use super::blocks::{Block, Cell, bytes, link, number, percent, state, text, time};
use crate::scrape::snapshot;
use crate::stats::RouteStats;
use crate::telemetry::observe::{UrlCount, UrlRecord};
use crate::verify::VerifyReport;

const HEADS: [&str; 10] =
    ["Route", "Requests", "5xx", "Fetches", "Hits", "Of bytes", "Of origin time", "Saved", "Hit takes", "Origin takes"];

/// What each route is worth, in each window.
pub(super) fn routes(shared: &Shared) -> Vec<Block> {
    let stats = report(&shared.gateway, &snapshot(&shared.gateway));
    let titles = |name: &str| match name {
        "start" => "Since the start".to_owned(),
        name => format!("Last {}", name.replace('m', " min")),
    };
    let of_window = |window: &crate::stats::WindowReport| {
        let mut routes: Vec<&RouteStats> = window.routes.iter().filter(|route| route.requests > 0).collect();
        routes.sort_by(|one, other| other.requests.cmp(&one.requests).then_with(|| one.route.cmp(&other.route)));
        let rows = routes.into_iter().chain((window.routes.len() > 1).then_some(&window.total)).map(row);
        Block::new(&format!("routes-{}", window.window), &titles(&window.window), &HEADS).rows(rows)
    };
    // What is of now stands first.
    let windows = stats.windows.iter().skip(1).chain(stats.windows.first()).map(of_window);
    verified(shared).into_iter().chain(windows).collect()
}

/// Whether what is served is what the origin would say, where routes have it compared.
fn verified(shared: &Shared) -> Option<Block> {
    let active = shared.gateway.active.load();
    let reports: Vec<VerifyReport> = active.verifications().map(|verify| verify.report()).collect();
    if reports.is_empty() {
        return None;
    }
    let heads = ["Route", "State", "Agreement", "Compared", "Differed", "Depend on who asks", "Not judged", "Safe lifetime"];
    let note = "Compared by this replica since it started. `larder verify report` has examples.";
    Some(Block::new("verify", "Is it what the origin would say?", &heads).note(note).rows(reports.iter().map(verification)))
}

fn verification(report: &VerifyReport) -> Vec<Cell> {
    let standing = match report {
        VerifyReport { stopped: true, .. } => state("not cached: answers depend on who asks", "bad"),
        VerifyReport { leaks: 1.., .. } => state("answers depend on who asks", "bad"),
        VerifyReport { mode, .. } => text(mode.clone()),
    };
    let safe = match report.safe_lifetime {
        Some(seconds) => time(Some(seconds.into())),
        None if report.judged > 0 => format!("over {}", time(Some(report.oldest_agreed.into()))),
        None => "–".to_owned(),
    };
    vec![
        text(report.route.clone()),
        standing,
        number(percent(report.agreement)),
        number(report.judged),
        Cell { class: if report.differed > 0 { "warn num" } else { "num" }, ..number(report.differed) },
        Cell { class: if report.leaks > 0 { "bad num" } else { "num" }, ..number(report.leaks) },
        number(report.not_judged),
        number(safe),
    ]
}

fn row(stats: &RouteStats) -> Vec<Cell> {
    let milliseconds = |value: Option<f64>| time(value.map(|value| value / 1000.0));
    vec![
        text(stats.route.clone()),
        number(stats.requests),
        Cell { class: if stats.errors > 0 { "bad num" } else { "num" }, ..number(stats.errors) },
        number(stats.fetches),
        number(percent(stats.ratio_by_requests)),
        number(percent(stats.ratio_by_bytes)),
        number(percent(stats.ratio_by_time)),
        number(time(Some(stats.seconds_saved))),
        number(milliseconds(stats.hit_milliseconds)),
        number(milliseconds(stats.origin_milliseconds)),
    ]
}

/// The URLs that stand out since somebody looked.
pub(super) fn urls(shared: &Shared) -> Vec<Block> {
    let busiest = shared.gateway.observers.busiest();
    let since = format!("{} requests in {}, since somebody looked first", busiest.requests, time(Some(busiest.seconds)));
    let heads = ["URL", "Requests", "Fetches"];
    let records = ["URL", "Status", "Result", "Took", "Bytes"];
    vec![
        Block::new("hottest", "Most asked for", &heads).note(since).rows(busiest.hottest.iter().map(counted)),
        Block::new("missing", "Most often fetched", &heads).rows(busiest.missing.iter().map(counted)),
        Block::new("slowest", "Slowest", &records).rows(busiest.slowest.iter().map(recorded)),
        Block::new("largest", "Largest", &records).rows(busiest.largest.iter().map(recorded)),
    ]
}

fn counted(count: &UrlCount) -> Vec<Cell> {
    vec![explained(&count.url), number(count.requests), number(count.fetches)]
}

fn recorded(record: &UrlRecord) -> Vec<Cell> {
    let status = record.status.map_or_else(String::new, |status| status.to_string());
    let class = if status.starts_with('5') { "bad" } else { "" };
    vec![
        explained(&record.url),
        state(status, class),
        text(record.result.unwrap_or_default()),
        number(time(Some(record.duration_us as f64 / 1e6))),
        number(bytes(record.bytes)),
    ]
}

/// A URL that leads to what explains it.
fn explained(url: &str) -> Cell {
    link(url, format!("/?view=explain&url={}", utf8_percent_encode(url, NON_ALPHANUMERIC)))
}
