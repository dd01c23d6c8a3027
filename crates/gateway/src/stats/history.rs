//! Totals of the last quarter of an hour by route, and of the last hour in all, a point every few seconds.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::hour::{Hour, Point};
use super::report::{RouteStats, WindowReport};
use super::totals::{Totals, totals};
use crate::telemetry::snapshot::Snapshot;

/// Between two points.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);

/// The windows that people ask for, besides the time since the start.
const WINDOWS: [(&str, Duration); 3] =
    [("1m", Duration::from_secs(60)), ("5m", Duration::from_secs(5 * 60)), ("15m", Duration::from_secs(15 * 60))];

/// Points for the longest window, and the one before it.
const POINTS: usize = 15 * 60 / 5 + 1;

/// Totals as they were, the oldest first.
#[derive(Debug)]
pub(crate) struct History {
    started: Instant,
    points: Mutex<VecDeque<(Instant, Vec<Totals>)>>,
    hour: Mutex<Hour>,
    /// How many points have been kept.
    kept: watch::Sender<u64>,
}

impl History {
    /// Of a process that started then.
    pub(crate) fn new(started: Instant) -> Self {
        Self { started, points: Mutex::default(), hour: Mutex::default(), kept: watch::Sender::new(0) }
    }

    /// Keeps a point: everything as it stands now, which is so many seconds since 1970.
    pub(crate) fn keep(&self, now: Instant, wall: u64, snapshot: &Snapshot) {
        let totals = totals(&snapshot.routes);
        let (since, recent) = {
            let points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
            let before = points.back();
            let since = before.map_or(self.started, |(then, _)| *then);
            let length = now.saturating_duration_since(since);
            (length, window("", length, &totals, before.map(|(_, totals)| totals.as_slice())))
        };
        // The first point is kept at the start, when there is nothing to tell yet.
        if since >= INTERVAL / 2 {
            self.hour.lock().unwrap_or_else(PoisonError::into_inner).keep(wall, since.as_secs_f64(), &recent.total, snapshot);
        }
        self.keep_totals(now, totals);
        self.kept.send_modify(|kept| *kept += 1);
    }

    /// The points of the last hour, the oldest first.
    pub(crate) fn hour(&self) -> Vec<Point> {
        self.hour.lock().unwrap_or_else(PoisonError::into_inner).points()
    }

    /// To wait for the next point.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.kept.subscribe()
    }

    fn keep_totals(&self, now: Instant, totals: Vec<Totals>) {
        let mut points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        points.push_back((now, totals));
        while points.len() > POINTS {
            points.pop_front();
        }
    }

    /// The time since the start, and each window, up to the totals of now. A process that is younger than a window has a shorter one.
    pub(crate) fn windows(&self, now: Instant, totals: &[Totals]) -> Vec<WindowReport> {
        let points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = window("start", now.saturating_duration_since(self.started), totals, None);
        let lately = WINDOWS.iter().map(|(name, length)| {
            // The newest point that is at least as old as the window is long.
            let before = points.iter().rev().find(|(then, _)| now.saturating_duration_since(*then) >= *length);
            let since = before.map_or(self.started, |(then, _)| *then);
            window(name, now.saturating_duration_since(since), totals, before.map(|(_, totals)| totals.as_slice()))
        });
        std::iter::once(whole).chain(lately).collect()
    }
}

fn window(name: &str, length: Duration, totals: &[Totals], before: Option<&[Totals]>) -> WindowReport {
    let nothing = Totals::default();
    let of_route = |now: &Totals| {
        let then = before.and_then(|before| before.iter().find(|then| then.name == now.name)).unwrap_or(&nothing);
        // What a hit saves is what the origin takes on this route otherwise, lately or, where nothing was fetched lately, on the whole.
        let recent = now.since(then);
        let cost = recent.origin.mean().or_else(|| now.origin.mean());
        RouteStats::of(&recent, cost)
    };
    let routes: Vec<RouteStats> = totals.iter().map(of_route).collect();
    WindowReport { window: name.to_owned(), seconds: length.as_secs_f64(), total: RouteStats::sum(&routes), routes }
}

#[cfg(test)]
mod tests {
    use larder_tower::clock::monotonic;

    use super::super::totals::Part;
    use super::*;

    fn totals(hits: u64, misses: u64) -> Vec<Totals> {
        let part = |count, seconds: f64, bytes| Part { count, bytes: count * bytes, seconds: seconds * count as f64 };
        let (hits, origin) = (part(hits, 0.001, 100), part(misses, 0.101, 300));
        vec![Totals { name: "a".to_owned(), requests: hits.count + origin.count, errors: 0, hits, origin }]
    }

    #[test]
    fn ratios_are_by_requests_bytes_and_time_of_the_origin() {
        let started = monotonic();
        let history = History::new(started);
        let windows = history.windows(started + Duration::from_secs(10), &totals(90, 10));
        let total = &windows[0].total;
        assert_eq!((total.requests, total.hits), (100, 90));
        let close = |ratio: Option<f64>, wanted: f64| ratio.is_some_and(|ratio| (ratio - wanted).abs() < 1e-9);
        assert!(close(total.ratio_by_requests, 0.9), "{total:?}");
        assert!(close(total.ratio_by_bytes, 9000.0 / 12000.0), "{total:?}");
        // 90 hits saved 0.1 s each, and ten misses took 0.101 s each.
        assert!((total.seconds_saved - 9.0).abs() < 1e-9 && close(total.ratio_by_time, 9.0 / 10.01), "{total:?}");
    }

    #[test]
    fn a_window_is_what_has_come_since_its_begin() {
        let started = monotonic();
        let history = History::new(started);
        let after = |seconds| started + Duration::from_secs(seconds);
        history.keep_totals(after(5), totals(10, 10));
        history.keep_totals(after(300), totals(50, 10));
        let windows = history.windows(after(365), &totals(60, 10));
        let hits: Vec<_> =
            windows.iter().map(|window| (window.window.as_str(), window.seconds.round() as u64, window.total.hits)).collect();
        assert_eq!(hits, [("start", 365, 60), ("1m", 65, 10), ("5m", 360, 50), ("15m", 365, 60)]);
        // Nothing was fetched lately: what the origin takes is known from before.
        assert!(windows[1].total.seconds_saved > 0.9, "{:?}", windows[1]);
    }

    #[test]
    fn the_history_is_bounded() {
        let started = monotonic();
        let history = History::new(started);
        (0..1000).for_each(|number| history.keep_totals(started + INTERVAL * number, totals(1, 1)));
        assert_eq!(history.points.lock().expect("a lock").len(), POINTS);
    }
}
