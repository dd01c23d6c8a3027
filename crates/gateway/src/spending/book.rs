//! The sums of the running day and month.
//!
//! One map: a row for each route, client and model, with its sums of the day and of the month. A day that ends sets its sums to nothing, a month that ends
//! drops the rows.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::OTHERS;
use super::sum::{Sum, Sums};
use crate::config::{self, Period, PeriodWindow};
use crate::telemetry::metrics::UsageOutcome;

/// Models of routes that are told apart, as in metrics.
const MAX_MODELS: usize = 200;

/// In place of the names of further models, and of none.
pub(super) const OTHER_MODEL: &str = "other";

/// Bytes of a row besides its texts: sums, pointers, counts and its place in the map.
const ROW: u64 = 300;

const MICROS: u64 = 1_000_000;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Row {
    pub(super) route: Arc<str>,
    pub(super) client: Arc<str>,
    pub(super) model: Arc<str>,
}

/// The sums of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Windows {
    pub(super) day: Sums,
    pub(super) month: Sums,
}

#[derive(Debug)]
pub(super) struct Book {
    settings: config::Spending,
    pub(super) day: PeriodWindow,
    pub(super) month: PeriodWindow,
    rows: HashMap<Row, Windows>,
    /// Routes with their models, of which there are a bounded number.
    models: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Bytes of the texts of all rows.
    text: u64,
}

impl Book {
    pub(super) fn new(settings: &config::Spending, now: u64) -> Self {
        let [day, month] = [Period::Day, Period::Month].map(|period| period.window(&settings.zone, now));
        let (rows, models) = Default::default();
        Self { settings: settings.clone(), day, month, rows, models, text: 0 }
    }

    /// Another time zone moves the ends of the running windows, and nothing that was counted is lost.
    pub(super) fn follow(&mut self, settings: &config::Spending, now: u64) {
        self.turn(now);
        if self.settings != *settings {
            self.settings = settings.clone();
            [self.day, self.month] = [Period::Day, Period::Month].map(|period| period.window(&settings.zone, now));
            self.make_room(0);
        }
    }

    /// Begins the windows of `now`, where others have ended.
    pub(super) fn turn(&mut self, now: u64) {
        if is_over(self.month, now) {
            self.month = Period::Month.window(&self.settings.zone, now);
            self.rows.clear();
            self.models.clear();
            self.text = 0;
        }
        if is_over(self.day, now) {
            self.day = Period::Day.window(&self.settings.zone, now);
            self.rows.values_mut().for_each(|windows| windows.day = Sums::default());
        }
    }

    pub(super) fn add(&mut self, row: Row, outcome: UsageOutcome, sum: Sum, now: u64) {
        self.turn(now);
        let mut windows = Windows::default();
        [&mut windows.day, &mut windows.month].into_iter().for_each(|sums| *sums.of(outcome) = sum);
        self.put(row, &windows);
    }

    /// Adds the sums of a row, under which it is known.
    pub(super) fn put(&mut self, row: Row, sums: &Windows) {
        let row = self.known_model(row);
        if !self.rows.contains_key(&row) {
            self.make_room(1);
            self.text += text_of(&row);
        }
        let windows = self.rows.entry(row).or_default();
        windows.day.add(&sums.day);
        windows.month.add(&sums.month);
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (&Row, &Windows)> {
        self.rows.iter()
    }

    /// The time zone's name of the IANA.
    pub(super) fn timezone(&self) -> &str {
        self.settings.zone.iana_name().unwrap_or("UTC")
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.rows.len() as u64 * ROW + self.text
    }

    /// The row with a model that is told apart.
    fn known_model(&mut self, row: Row) -> Row {
        let model = (Arc::clone(&row.route), Arc::clone(&row.model));
        if self.models.contains(&model) {
            return row;
        }
        if self.models.len() < MAX_MODELS {
            self.models.insert(model);
            return row;
        }
        Row { model: OTHER_MODEL.into(), ..row }
    }

    /// Makes room for so many rows more: of the clients, the half with the smallest sums becomes one, so that this happens seldom.
    fn make_room(&mut self, more: usize) {
        if self.rows.len() + more <= self.settings.max_rows {
            return;
        }
        let mut clients: Vec<_> =
            self.rows.iter().filter(|(row, _)| &*row.client != OTHERS).map(|(row, sums)| (row.clone(), *sums)).collect();
        clients.sort_unstable_by(|(one, few), (other, more)| by_weight(&few.month, &more.month).then_with(|| one.cmp(other)));
        let surplus = (self.rows.len() + more).saturating_sub(self.settings.max_rows / 2);
        for (row, sums) in clients.into_iter().take(surplus) {
            self.rows.remove(&row);
            self.text = self.text.saturating_sub(text_of(&row));
            let others = Row { client: OTHERS.into(), ..row };
            if !self.rows.contains_key(&others) {
                self.text += text_of(&others);
            }
            let windows = self.rows.entry(others).or_default();
            windows.day.add(&sums.day);
            windows.month.add(&sums.month);
        }
    }
}

/// The smaller one first.
pub(super) fn by_weight(one: &Sums, other: &Sums) -> Ordering {
    let ((price, tokens), (other_price, other_tokens)) = (one.weight(), other.weight());
    price.total_cmp(&other_price).then(tokens.cmp(&other_tokens))
}

fn text_of(row: &Row) -> u64 {
    (row.route.len() + row.client.len() + row.model.len()) as u64
}

/// Whether a window has ended. A clock that was set back a little goes on in the running one: otherwise every such step would cost the sums.
fn is_over(window: PeriodWindow, now: u64) -> bool {
    let now = now.saturating_mul(MICROS);
    now >= window.begins.saturating_add(window.length) || now.saturating_add(window.length) < window.begins
}

/// When a window ends, in seconds since 1970.
pub(super) fn ends_at(window: PeriodWindow) -> u64 {
    window.begins.saturating_add(window.length) / MICROS
}
