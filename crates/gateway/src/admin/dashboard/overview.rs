//! The overview: what the cache is worth now, and the last hour.

use askama::Template;
use axum::body::Body;
use axum::http::{Response, StatusCode};

use super::super::endpoints::Shared;
use super::super::stats::report;
use super::blocks::{Block, Tile, bytes, percent, short, state, text, time};
use super::charts::{Chart, charts};
use super::limits::money;
use super::page::{Frame, html};
use crate::alerts::State;
use crate::scrape::snapshot;
use crate::spending::Sum;
use crate::stats::{Point, RouteStats, StatsReport};
use crate::telemetry::snapshot::Snapshot;

/// Alerts that are shown.
const ALERTS: usize = 10;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    tiles: Vec<Tile>,
    alerts: Block,
    charts: Vec<Chart>,
}

pub(super) fn view(shared: &Shared, frame: Frame) -> Response<Body> {
    let gateway = &shared.gateway;
    let snapshot = snapshot(gateway);
    let stats = report(gateway, &snapshot);
    let points = gateway.history.hour();
    let now = gateway.clock.now().as_millis() / 1000;
    let tiles = tiles(&stats, &snapshot, points.last());
    html(StatusCode::OK, &Overview { frame, tiles, alerts: alerts(shared), charts: charts(&points, now) })
}

/// What holds now, and what was told lately.
fn alerts(shared: &Shared) -> Block {
    let alerts = &shared.gateway.alerts;
    let firing = alerts.firing();
    let note = match firing.len() {
        0 => "None holds now.".to_owned(),
        count => format!("{count} of them hold now."),
    };
    let rows = alerts.last().into_iter().take(ALERTS).map(|raised| {
        let holds = firing.iter().any(|firing| firing.id == raised.id);
        let (word, class) = match (raised.state, holds) {
            (State::Firing, true) => ("now", "bad"),
            (State::Firing, false) => ("was", ""),
            (State::Resolved, _) => ("over", "good"),
        };
        vec![text(raised.at.clone()), state(word, class), text(raised.kind), text(raised.message.clone()), text(raised.remedy)]
    });
    Block::new("alerts", "Alerts", &["When", "State", "Kind", "What", "What to do"]).note(note).rows(rows)
}

fn tiles(stats: &StatsReport, snapshot: &Snapshot, last: Option<&Point>) -> Vec<Tile> {
    let empty = RouteStats::default();
    let of = |name: &str| stats.windows.iter().find(|window| window.window == name);
    let (minute, start) = (of("1m").map_or(&empty, |window| &window.total), of("start").map_or(&empty, |window| &window.total));
    let length = of("1m").map_or(1.0, |window| window.seconds.max(1.0));
    let tile = |name, figure: String, note: String| Tile { name, figure, note };
    let quantiles = |half: Option<f64>, most: Option<f64>| format!("{} / {}", time(half), time(most));
    let (hit, origin) = match last {
        Some(point) => (quantiles(point.hit_p50, point.hit_p99), quantiles(point.origin_p50, point.origin_p99)),
        None => (quantiles(None, None), quantiles(None, None)),
    };
    let mut tiles = vec![
        tile("Requests a second", short(minute.requests as f64 / length), format!("{} since the start", short(start.requests as f64))),
        tile("Hits", percent(minute.ratio_by_requests), format!("{} since the start", percent(start.ratio_by_requests))),
        tile("Bytes from the store", percent(minute.ratio_by_bytes), format!("{} since the start", bytes(start.bytes_from_store))),
        tile("Origin time saved", percent(minute.ratio_by_time), format!("{} since the start", time(Some(start.seconds_saved)))),
        tile("Hit: half / 99 %", hit, "to the head of the response".to_owned()),
        tile("Origin: half / 99 %", origin, "in the last five seconds".to_owned()),
        tile("Answered with 5xx", short(minute.errors as f64), format!("{} since the start", short(start.errors as f64))),
        tile(
            "Stored in memory",
            bytes(snapshot.store.stored_bytes),
            format!("of {}, {} entries, {} evicted", bytes(snapshot.store.capacity_bytes), snapshot.store.entries, stats.evicted),
        ),
        tile(
            "Under way",
            snapshot.collapsing.fills_in_flight.to_string(),
            format!("fetches; {} wait for them; {} connections", snapshot.collapsing.waiting, snapshot.process.client_connections),
        ),
    ];
    if !stats.models.is_empty() {
        let tokens =
            |outcome| stats.models.iter().filter(|one| one.outcome == outcome).map(|one| one.input + one.output).sum::<u64>() as f64;
        tiles.push(tile("Tokens saved", short(tokens("saved")), format!("{} spent since the start", short(tokens("spent")))));
    }
    if let Some(window) = stats.spending.windows.last() {
        let (spent, saved) = (&window.sums.spent, &window.sums.saved);
        let figure = |sum: &Sum| sum.price.map_or_else(|| short(sum.tokens() as f64), |price| money(Some(price)));
        tiles.push(tile("Saved by stored answers this month", figure(saved), format!("{} spent", figure(spent))));
    }
    tiles
}
