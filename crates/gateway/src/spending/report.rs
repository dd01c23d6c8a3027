//! What was spent and saved, as `GET /spending` tells it and the command line reads it, and as it is scraped.

use std::collections::HashMap;

use larder_semantics::Timestamp;
use serde::{Deserialize, Serialize};

use super::book::{Row, Windows, by_weight, ends_at};
use super::sum::{Sum, Sums};
use super::{OTHERS, Spending};
use crate::telemetry::access_log::timestamp;
use crate::telemetry::snapshot::{ClientSpending, SpendingSnapshot, UsageSnapshot};

/// Clients that are scraped: each is several series for as long as a month.
const SCRAPED: usize = 50;

/// Today and this month.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SpendingReport {
    /// Where days and months begin at midnight.
    pub(crate) timezone: String,
    pub(crate) windows: Vec<SpendingWindow>,
}

/// One of them. What has spent and saved most comes first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SpendingWindow {
    /// `day` or `month`.
    pub(crate) per: String,
    /// As of RFC 3339.
    pub(crate) ends_at: String,
    #[serde(flatten)]
    pub(crate) sums: Sums,
    pub(crate) routes: Vec<SpendingRow>,
    pub(crate) clients: Vec<SpendingRow>,
    pub(crate) models: Vec<SpendingRow>,
    /// A route, a client and a model each.
    pub(crate) rows: Vec<SpendingRow>,
}

/// The sums of everything that has these names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SpendingRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<String>,
    /// As the keys of limits are written: credentials are hashes. `!none`: no limit tells clients apart. `!others`: those with the smallest sums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    #[serde(flatten)]
    pub(crate) sums: Sums,
}

/// What is asked for: that of one route, client or model; `None`: of all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) route: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) model: Option<String>,
}

impl Filter {
    fn takes(&self, row: &Row) -> bool {
        let suits = |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|wanted| wanted == own);
        suits(&self.route, &row.route) && suits(&self.client, &row.client) && suits(&self.model, &row.model)
    }
}

/// Rows with the sums of one window.
type Summed<'a> = Vec<(&'a Row, &'a Sums)>;

impl Spending {
    /// Today and this month, with so many of each kind at most. Without windows, where no model has answered.
    pub(crate) fn report(&self, filter: &Filter, most: usize) -> SpendingReport {
        let copy = self.copy();
        let window = |per: &str, ends: u64, rows: Summed<'_>| SpendingWindow {
            per: per.to_owned(),
            ends_at: timestamp(Timestamp::from_millis(ends.saturating_mul(1000))),
            sums: total(&rows),
            routes: named(ordered(&rows, |row| [&row.route, "", ""]), most),
            clients: named(ordered(&rows, |row| ["", &row.client, ""]), most),
            models: named(ordered(&rows, |row| ["", "", &row.model]), most),
            rows: named(ordered(&rows, |row| [&row.route, &row.client, &row.model]), most),
        };
        let windows = copy.windows(|row| filter.takes(row));
        let windows = windows.into_iter().filter(|_| !copy.rows.is_empty()).map(|(per, ends, rows)| window(per, ends, rows)).collect();
        SpendingReport { timezone: copy.timezone.clone(), windows }
    }

    /// As it is scraped; empty where no model has answered.
    pub(crate) fn snapshot(&self) -> Vec<SpendingSnapshot> {
        let copy = self.copy();
        let windows = copy.windows(|_| true).into_iter().filter(|_| !copy.rows.is_empty());
        windows.map(|(window, _, rows)| scraped(window, &rows)).collect()
    }

    /// What the book says now, so that nobody waits for who reads it.
    fn copy(&self) -> Copied {
        let book = self.current();
        let rows = book.rows().map(|(row, windows)| (row.clone(), *windows)).collect();
        Copied { timezone: book.timezone().to_owned(), ends: [book.day, book.month].map(ends_at), rows }
    }
}

struct Copied {
    timezone: String,
    ends: [u64; 2],
    rows: Vec<(Row, Windows)>,
}

impl Copied {
    /// The word of each window, when it ends, and its rows.
    fn windows(&self, takes: impl Fn(&Row) -> bool) -> [(&'static str, u64, Summed<'_>); 2] {
        let rows = |of: fn(&Windows) -> &Sums| {
            let all = self.rows.iter().map(|(row, windows)| (row, of(windows)));
            all.filter(|(row, sums)| takes(row) && **sums != Sums::default()).collect()
        };
        let [day, month] = self.ends;
        [("day", day, rows(|windows| &windows.day)), ("month", month, rows(|windows| &windows.month))]
    }
}

fn total(rows: &Summed<'_>) -> Sums {
    let mut total = Sums::default();
    rows.iter().for_each(|(_, sums)| total.add(sums));
    total
}

/// The sums of rows with the same names, the largest first. A name that does not count is empty.
fn ordered<'a>(rows: &Summed<'a>, names: impl Fn(&'a Row) -> [&'a str; 3]) -> Vec<([&'a str; 3], Sums)> {
    let mut summed: HashMap<[&str; 3], Sums> = HashMap::new();
    rows.iter().for_each(|(row, sums)| summed.entry(names(row)).or_default().add(sums));
    let mut all: Vec<_> = summed.into_iter().collect();
    all.sort_unstable_by(|(one, few), (other, more)| by_weight(more, few).then_with(|| one.cmp(other)));
    all
}

fn named(sums: Vec<([&str; 3], Sums)>, most: usize) -> Vec<SpendingRow> {
    let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let row = |([route, client, model], sums): ([&str; 3], Sums)| SpendingRow {
        route: name(route),
        client: name(client),
        model: name(model),
        sums,
    };
    sums.into_iter().take(most).map(row).collect()
}

fn scraped(window: &'static str, rows: &Summed<'_>) -> SpendingSnapshot {
    // In an order that does not depend on the sums, so that a series keeps its place.
    let mut models = ordered(rows, |row| [&row.route, "", &row.model]);
    models.sort_unstable_by_key(|(names, _)| *names);
    let (mut clients, mut others) = (Vec::new(), Sums::default());
    for ([_, client, _], sums) in ordered(rows, |row| ["", &row.client, ""]) {
        match client != OTHERS && clients.len() < SCRAPED {
            true => clients.push((client, sums)),
            false => others.add(&sums),
        }
    }
    clients.sort_unstable_by_key(|(client, _)| *client);
    clients.extend((others != Sums::default()).then_some((OTHERS, others)));
    let usage = |([route, _, model], sums): ([&str; 3], Sums)| {
        let (route, model) = (route.to_owned(), model.to_owned());
        both(sums).map(|(outcome, Sum { input, output, price, .. })| UsageSnapshot {
            route: route.clone(),
            model: model.clone(),
            outcome,
            input,
            output,
            price,
        })
    };
    let client = |(client, sums): (&str, Sums)| {
        both(sums).map(|(outcome, sum)| ClientSpending { client: client.to_owned(), outcome, tokens: sum.tokens(), price: sum.price })
    };
    SpendingSnapshot {
        window,
        models: models.into_iter().flat_map(usage).collect(),
        clients: clients.into_iter().flat_map(client).collect(),
    }
}

fn both(sums: Sums) -> [(&'static str, Sum); 2] {
    [("spent", sums.spent), ("saved", sums.saved)]
}
