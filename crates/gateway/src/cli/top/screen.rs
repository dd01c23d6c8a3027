//! The screen as lines of text, made of data alone.

use serde_json::Value;

use super::data::Data;
use crate::config::{display_bytes, display_duration};
use crate::figures::{percent, time};
use crate::stats::{RouteStats, WindowReport};
use crate::telemetry::visible;

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) strong: bool,
}

/// What is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Page {
    #[default]
    Routes,
    Upstreams,
    Hottest,
    Missing,
    Slowest,
    Largest,
    Replicas,
}

impl Page {
    pub(super) const ALL: [Self; 7] =
        [Self::Routes, Self::Upstreams, Self::Hottest, Self::Missing, Self::Slowest, Self::Largest, Self::Replicas];

    fn title(self) -> &'static str {
        match self {
            Self::Routes => "routes",
            Self::Upstreams => "upstreams",
            Self::Hottest => "hottest",
            Self::Missing => "missing",
            Self::Slowest => "slowest",
            Self::Largest => "largest",
            Self::Replicas => "replicas",
        }
    }
}

/// How somebody looks at it.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) page: Page,
    pub(super) paused: bool,
    pub(super) help: bool,
    /// Which column routes are sorted by, round and round.
    pub(super) sort: usize,
    /// Rows that are scrolled past.
    pub(super) scrolled: usize,
}

impl View {
    pub(super) fn turn_to(&mut self, page: Page) {
        (self.page, self.scrolled) = (page, 0);
    }

    pub(super) fn turn(&mut self, by: usize) {
        let place = Page::ALL.iter().position(|page| *page == self.page).unwrap_or_default();
        self.turn_to(Page::ALL[(place + by) % Page::ALL.len()]);
    }
}

/// By what a route is compared with others.
type Rank = fn(&RouteStats) -> f64;

/// The columns that routes are sorted by, the largest first.
const SORTS: [(&str, Rank); 5] = [
    ("requests", |route| route.requests as f64),
    ("saved", |route| route.seconds_saved),
    ("fetches", |route| route.fetches as f64),
    ("origin takes", |route| route.origin_milliseconds.unwrap_or_default()),
    ("5xx", |route| route.errors as f64),
];

const HELP: [&str; 8] = [
    "1 to 7, Tab    another list",
    "s              another order of the routes",
    "Up, Down       scroll",
    "p, Space       pause and go on",
    "?              this help",
    "q, Esc         end",
    "",
    "Routes are those of the last minute. URLs are counted from the first look on.",
];

/// All lines, of which as many are shown as fit.
pub(super) fn lines(data: &Data, view: &mut View, width: usize, height: usize) -> Vec<Line> {
    let mut lines = head(data, view);
    if view.help {
        lines.extend(HELP.iter().map(|text| plain(text)));
    } else {
        let table = table(data, view);
        let room = height.saturating_sub(lines.len() + 1);
        // No further than to the last rows.
        view.scrolled = view.scrolled.min(table.len().saturating_sub(1 + room.saturating_sub(1)));
        let (heads, rows) = table.split_first().map_or((None, &[][..]), |(heads, rows)| (Some(heads), rows));
        lines.extend(heads.cloned());
        lines.extend(rows.iter().skip(view.scrolled).take(room).cloned());
    }
    lines.truncate(height);
    lines.iter_mut().for_each(|line| line.text = visible(&line.text).chars().take(width).collect());
    lines
}

fn plain(text: &str) -> Line {
    Line { text: text.to_owned(), strong: false }
}

fn strong(text: String) -> Line {
    Line { text, strong: true }
}

fn window<'d>(data: &'d Data, name: &str) -> Option<&'d WindowReport> {
    data.stats.windows.iter().find(|window| window.window == name)
}

fn head(data: &Data, view: &View) -> Vec<Line> {
    let (empty, stats) = (WindowReport::default(), &data.stats);
    let (minute, start) = (window(data, "1m").unwrap_or(&empty), window(data, "start").unwrap_or(&empty));
    let own = data.replicas.replicas.first().map(|replica| replica.name.as_str()).unwrap_or_default();
    let up = display_duration(std::time::Duration::from_secs(start.seconds as u64));
    let state = match (&data.problem, view.paused) {
        (Some(problem), _) => format!("   {problem}"),
        (None, true) => "   paused".to_owned(),
        (None, false) => String::new(),
    };
    let total = &minute.total;
    let last = |name: &str| time(data.last[name].as_f64());
    let live = data.replicas.replicas.iter().filter(|replica| replica.state == "live").count();
    let alerts = data.alerts.as_array().map(Vec::as_slice).unwrap_or_default();
    let alert = match alerts.first() {
        None => "no alerts".to_owned(),
        Some(first) => format!("{} alerts: {}", alerts.len(), first["message"].as_str().unwrap_or_default()),
    };
    vec![
        strong(format!("Larder {own}   up {up}{state}")),
        plain(&format!(
            "requests {:.1}/s   hits {}   of bytes {}   of origin time {}   saved {}   5xx {}",
            total.requests as f64 / minute.seconds.max(1.0),
            percent(total.ratio_by_requests),
            percent(total.ratio_by_bytes),
            percent(total.ratio_by_time),
            time(Some(start.total.seconds_saved)),
            total.errors,
        )),
        plain(&format!(
            "hit {} / {} (half, 99 %)   origin {} / {}",
            last("hit_p50"),
            last("hit_p99"),
            last("origin_p50"),
            last("origin_p99")
        )),
        plain(&format!(
            "memory {} {} of {}, {} entries, {} evicted   replicas {live} of {}   {alert}",
            bar(stats.stored_bytes, stats.capacity_bytes),
            display_bytes(stats.stored_bytes),
            display_bytes(stats.capacity_bytes),
            stats.entries,
            stats.evicted,
            data.replicas.replicas.len(),
        )),
        Line::default(),
        strong(tabs(view)),
    ]
}

fn tabs(view: &View) -> String {
    let tab = |(number, page): (usize, &Page)| {
        let title = format!("{} {}", number + 1, page.title());
        if *page == view.page { format!("[{title}]") } else { format!(" {title} ") }
    };
    let tabs: Vec<String> = Page::ALL.iter().enumerate().map(tab).collect();
    let order = if view.page == Page::Routes { format!("   by {}", SORTS[view.sort % SORTS.len()].0) } else { String::new() };
    format!("{}{order}   ? help", tabs.join(" "))
}

/// Twenty letters for a whole.
fn bar(part: u64, whole: u64) -> String {
    let filled = (part.min(whole) * 20).checked_div(whole).unwrap_or_default() as usize;
    format!("[{}{}]", "#".repeat(filled), ".".repeat(20 - filled))
}

/// The heads first, then the rows.
fn table(data: &Data, view: &View) -> Vec<Line> {
    let (heads, rows) = match view.page {
        Page::Routes => routes(data, view),
        Page::Upstreams => upstreams(&data.upstreams),
        Page::Hottest => urls(&data.urls["hottest"], &["requests", "fetches"]),
        Page::Missing => urls(&data.urls["missing"], &["fetches", "requests"]),
        Page::Slowest => urls(&data.urls["slowest"], &["duration_us", "status"]),
        Page::Largest => urls(&data.urls["largest"], &["bytes", "status"]),
        Page::Replicas => replicas(data),
    };
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).chain([heads[column].chars().count()]).max().unwrap_or_default())
        .collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).enumerate();
        // The last one is a name, which may be long; the others are figures.
        let padded = cells.map(|(column, (cell, width))| if column + 1 == widths.len() { cell.clone() } else { format!("{cell:>width$}") });
        padded.collect::<Vec<_>>().join("  ")
    };
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    std::iter::once(strong(line(&heads))).chain(rows.iter().map(|row| plain(&line(row)))).collect()
}

type Table = (Vec<&'static str>, Vec<Vec<String>>);

fn routes(data: &Data, view: &View) -> Table {
    let (_, rank) = SORTS[view.sort % SORTS.len()];
    let mut routes: Vec<&RouteStats> =
        window(data, "1m").iter().flat_map(|window| &window.routes).filter(|route| route.requests > 0).collect();
    routes.sort_by(|one, other| rank(other).total_cmp(&rank(one)).then_with(|| one.route.cmp(&other.route)));
    let milliseconds = |value: Option<f64>| time(value.map(|value| value / 1000.0));
    let row = |route: &RouteStats| {
        vec![
            route.requests.to_string(),
            route.errors.to_string(),
            route.fetches.to_string(),
            percent(route.ratio_by_requests),
            percent(route.ratio_by_bytes),
            percent(route.ratio_by_time),
            time(Some(route.seconds_saved)),
            milliseconds(route.hit_milliseconds),
            milliseconds(route.origin_milliseconds),
            route.route.clone(),
        ]
    };
    let heads = vec!["requests", "5xx", "fetches", "hits", "of bytes", "of time", "saved", "hit takes", "origin takes", "route"];
    (heads, routes.into_iter().map(row).collect())
}

fn upstreams(upstreams: &Value) -> Table {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    };
    let mut rows = Vec::new();
    for upstream in upstreams.as_array().into_iter().flatten() {
        let state = &upstream["state"];
        let (count, sum) = (upstream["latency"]["count"].as_f64().unwrap_or_default(), upstream["latency"]["sum_seconds"].as_f64());
        let mean = sum.filter(|_| count > 0.0).map(|sum| sum / count);
        let [flight, waiting, refused, retries, connections] =
            ["requests_in_flight", "waiting", "refused", "retries", "connections"].map(|name| text(&state[name]));
        rows.push(vec![text(&state["breaker"]), flight, waiting, refused, retries, connections, time(mean), text(&upstream["name"])]);
        for server in state["servers"].as_array().into_iter().flatten() {
            let standing = match (server["ejected"] == true, server["healthy"] == false) {
                (true, _) => "left out",
                (false, true) => "unhealthy",
                (false, false) => "asked",
            };
            let [flight, connections] = ["requests_in_flight", "connections"].map(|name| text(&server[name]));
            let latency = time(server["latency_seconds"].as_f64());
            let none = String::new;
            rows.push(vec![
                standing.to_owned(),
                flight,
                none(),
                none(),
                none(),
                connections,
                latency,
                format!("  {}", text(&server["server"])),
            ]);
        }
    }
    (vec!["state", "under way", "waiting", "refused", "again", "connections", "takes", "upstream, servers"], rows)
}

fn urls(list: &Value, names: &[&'static str; 2]) -> Table {
    let figure = |name: &str, value: &Value| match name {
        "duration_us" => time(value.as_f64().map(|micros| micros / 1e6)),
        "bytes" => display_bytes(value.as_u64().unwrap_or_default()),
        _ => value.to_string(),
    };
    let row = |record: &Value| {
        let figures = names.iter().map(|name| figure(name, &record[*name]));
        figures.chain([record["url"].as_str().unwrap_or_default().to_owned()]).collect()
    };
    let heads = names.iter().map(|name| if *name == "duration_us" { "took" } else { name }).chain(["URL"]);
    (heads.collect(), list.as_array().into_iter().flatten().map(row).collect())
}

fn replicas(data: &Data) -> Table {
    let row = |replica: &crate::replicas::ReplicaReport| {
        let name = if replica.name.is_empty() { &replica.id } else { &replica.name };
        let own = if replica.own { " (this one)" } else { "" };
        vec![
            replica.state.clone(),
            replica.applied.to_string(),
            replica.behind.to_string(),
            time(Some(replica.silent_seconds)),
            format!("{name}{own}"),
        ]
    };
    (vec!["state", "applied up to", "behind", "silent for", "replica"], data.replicas.replicas.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::replicas::{ReplicaReport, ReplicasReport};

    fn data() -> Data {
        let route = |name: &str, requests, saved| RouteStats {
            route: name.to_owned(),
            requests,
            seconds_saved: saved,
            ratio_by_requests: Some(0.5),
            ..RouteStats::default()
        };
        let minute = WindowReport {
            window: "1m".to_owned(),
            seconds: 60.0,
            total: route("all", 120, 3.0),
            routes: vec![route("b", 20, 9.0), route("a", 100, 1.0)],
        };
        let own = ReplicaReport { name: "web:1".to_owned(), own: true, state: "live".to_owned(), ..ReplicaReport::default() };
        let mut data =
            Data { urls: json!({ "hottest": [{ "url": "http://a/\u{1b}[2J", "requests": 7, "fetches": 1 }] }), ..Data::default() };
        data.stats.windows = vec![minute];
        data.stats.capacity_bytes = 100;
        data.stats.stored_bytes = 50;
        data.replicas = ReplicasReport { replicas: vec![own], ..ReplicasReport::default() };
        data.alerts = json!([{ "message": "upstream api is left alone" }]);
        data
    }

    fn text(view: &mut View, width: usize, height: usize) -> String {
        lines(&data(), view, width, height).iter().map(|line| line.text.clone() + "\n").collect()
    }

    #[test]
    fn the_head_says_what_matters_and_routes_are_in_the_order_that_is_wanted() {
        let mut view = View::default();
        let whole = text(&mut view, 200, 50);
        for part in ["Larder web:1", "requests 2.0/s", "hits 50.0 %", "[##########..........]", "replicas 1 of 1", "1 alerts: upstream api"]
        {
            assert!(whole.contains(part), "{part} in {whole}");
        }
        let place = |text: &str, route: &str| text.lines().position(|line| line.ends_with(&format!(" {route}")));
        assert!(place(&whole, "a") < place(&whole, "b"), "{whole}");
        view.sort = 1;
        let by_saved = text(&mut view, 200, 50);
        assert!(place(&by_saved, "b") < place(&by_saved, "a") && by_saved.contains("by saved"), "{by_saved}");
    }

    #[test]
    fn no_line_is_wider_and_no_screen_higher_than_the_terminal_and_nothing_is_obeyed() {
        let mut view = View { page: Page::Hottest, ..View::default() };
        for (width, height) in [(1, 1), (20, 3), (80, 7), (300, 100)] {
            let lines = lines(&data(), &mut view, width, height);
            assert!(lines.len() <= height && lines.iter().all(|line| line.text.chars().count() <= width && !line.text.contains('\u{1b}')));
        }
        assert!(text(&mut view, 200, 50).contains("http://a/\\u001b[2J"), "{}", text(&mut view, 200, 50));
    }

    #[test]
    fn scrolling_ends_with_the_last_row_and_help_stands_in_for_the_list() {
        let mut view = View { scrolled: 99, ..View::default() };
        assert!(text(&mut view, 200, 50).contains(" a\n") && view.scrolled < 99, "all rows fit");
        view.help = true;
        assert!(text(&mut view, 200, 50).contains("q, Esc"));
    }
}
