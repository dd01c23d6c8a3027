//! The last hour as lines.

use std::fmt::Write as _;

use super::blocks::{percent, short, time};
use crate::config::display_bytes;
use crate::stats::Point;

/// The size of a drawing, stretched to what room there is: a point for each five seconds of an hour.
const WIDTH: u64 = 720;
const HEIGHT: f64 = 120.0;

/// Seconds of a drawing, and from one of its points to the next.
const SECONDS: u64 = 3600;
const STEP: u64 = SECONDS / WIDTH;

/// Points that lie farther apart are not joined: the process stood still, or was not there.
const MAX_GAP: u64 = 3 * STEP;

/// One chart.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// The value at its upper edge.
    pub(super) max: String,
    pub(super) lines: Vec<Line>,
    /// A label for each minute.
    pub(super) minutes: Vec<Minute>,
}

/// One line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: &'static str,
    /// The value at its end.
    pub(super) now: String,
    /// As SVG draws it.
    pub(super) path: String,
}

/// What is shown where the pointer is.
#[derive(Debug)]
pub(super) struct Minute {
    pub(super) x: u64,
    pub(super) text: String,
}

type Value = fn(&Point) -> Option<f64>;
type Show = fn(f64) -> String;

fn per_second(of: fn(&Point) -> f64, point: &Point) -> Option<f64> {
    (point.seconds > 0.0).then(|| of(point) / point.seconds)
}

/// All charts of the overview, up to now in seconds since 1970.
pub(super) fn charts(points: &[Point], now: u64) -> Vec<Chart> {
    let requests: [(&str, Value); 3] = [
        ("all", |point| per_second(|point| point.requests as f64, point)),
        ("hits", |point| per_second(|point| point.hits as f64, point)),
        ("5xx", |point| per_second(|point| point.errors as f64, point)),
    ];
    let ratios: [(&str, Value); 3] = [
        ("requests", |point| ratio(point.hits as f64, (point.hits + point.fetches) as f64)),
        ("bytes", |point| ratio(point.bytes_from_store as f64, point.bytes as f64)),
        ("origin time", |point| ratio(point.seconds_saved, point.seconds_saved + point.seconds_spent)),
    ];
    let latencies: [(&str, Value); 4] = [
        ("hit, half", |point| point.hit_p50),
        ("hit, 99 %", |point| point.hit_p99),
        ("origin, half", |point| point.origin_p50),
        ("origin, 99 %", |point| point.origin_p99),
    ];
    let bytes: [(&str, Value); 2] = [
        ("all", |point| per_second(|point| point.bytes as f64, point)),
        ("from the store", |point| per_second(|point| point.bytes_from_store as f64, point)),
    ];
    let origin: [(&str, Value); 2] = [
        ("saved", |point| per_second(|point| point.seconds_saved, point)),
        ("spent", |point| per_second(|point| point.seconds_spent, point)),
    ];
    vec![
        Chart::new("requests", "Requests a second", (points, now), &requests, None, short),
        Chart::new("ratio", "Hit ratio", (points, now), &ratios, Some(1.0), |ratio| percent(Some(ratio))),
        Chart::new("latency", "Time to the head of a response", (points, now), &latencies, None, |seconds| time(Some(seconds))),
        Chart::new("bytes", "Bytes a second", (points, now), &bytes, None, |bytes| display_bytes(bytes as u64)),
        Chart::new("origin", "Origin time, in seconds a second", (points, now), &origin, None, short),
    ]
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

impl Chart {
    fn new(
        id: &'static str,
        title: &'static str,
        (points, now): (&[Point], u64),
        lines: &[(&'static str, Value)],
        max: Option<f64>,
        show: Show,
    ) -> Self {
        let from = now.saturating_sub(SECONDS);
        let seen: Vec<&Point> = points.iter().filter(|point| point.at >= from && point.at <= now).collect();
        let all = seen.iter().flat_map(|point| lines.iter().filter_map(|(_, value)| value(point)));
        let max = max.unwrap_or_else(|| all.fold(0.0, f64::max));
        let line = |(name, value): &(&'static str, Value)| Line {
            name,
            now: seen.last().and_then(|point| value(point)).map_or_else(|| "–".to_owned(), show),
            path: path(seen.iter().map(|point| ((point.at - from) / STEP, value(point))), max),
        };
        let minutes = seen.chunk_by(|one, other| one.at / 60 == other.at / 60).filter_map(|minute| {
            let last = minute.last()?;
            let values = lines.iter().filter_map(|(name, value)| Some(format!("{name} {}", show(value(last)?))));
            let text = format!("{} UTC: {}", clock(last.at), values.collect::<Vec<_>>().join(", "));
            Some(Minute { x: ((minute.first()?.at - from) / STEP).min(WIDTH - 12), text })
        });
        Self { id, title, max: show(max), lines: lines.iter().map(line).collect(), minutes: minutes.collect() }
    }
}

/// A line through all points that have a value, broken where one has none or they lie far apart.
fn path(points: impl Iterator<Item = (u64, Option<f64>)>, max: f64) -> String {
    let (mut path, mut before) = (String::new(), None::<u64>);
    for (x, value) in points {
        let Some(value) = value else {
            before = None;
            continue;
        };
        let y = if max > 0.0 { HEIGHT - value.clamp(0.0, max) / max * (HEIGHT - 2.0) - 1.0 } else { HEIGHT - 1.0 };
        let joined = before.is_some_and(|before| x.saturating_sub(before) * STEP <= MAX_GAP);
        let _ = write!(path, "{}{x} {y:.1}", if joined { 'L' } else { 'M' });
        if !joined {
            // A lone point is drawn too.
            path.push_str("h0");
        }
        before = Some(x);
    }
    path
}

/// `12:03`.
fn clock(at: u64) -> String {
    format!("{:02}:{:02}", at / 3600 % 24, at / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at: u64, requests: u64) -> Point {
        Point { at, seconds: 5.0, requests, ..Point::default() }
    }

    #[test]
    fn a_line_ends_at_the_right_edge_and_breaks_where_nothing_is_known() {
        let now = 10_000;
        let points = [point(now - 3600, 0), point(now - 10, 50), point(now - 5, 25), point(now, 100)];
        let chart = &charts(&points, now)[0];
        let all = &chart.lines[0];
        assert_eq!((chart.max.as_str(), all.now.as_str()), ("20", "20"));
        assert_eq!(all.path, "M0 119.0h0M718 60.0h0L719 89.5L720 1.0");
        assert_eq!(chart.minutes.len(), 2, "{:?}", chart.minutes);
        let hits = &charts(&points, now)[1].lines[0];
        assert_eq!((hits.path.as_str(), hits.now.as_str()), ("", "–"), "no request, no ratio");
    }

    #[test]
    fn what_is_older_than_an_hour_or_later_than_now_is_not_drawn() {
        let now = 10_000;
        let chart = &charts(&[point(now - 3605, 9), point(now + 5, 9)], now)[0];
        assert_eq!((chart.lines[0].path.as_str(), chart.minutes.len()), ("", 0));
    }
}
