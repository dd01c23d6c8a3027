//! What tokens of models have cost and what stored answers have saved, today and this month, by route, client and model.
//!
//! - [`Spending::add`]: the sums, which outlive a reload. One answer of a model is one call, by [`RouteUsage`](crate::routing::RouteUsage).
//! - [`Spending::report`]: what people ask for: `GET /spending`, the command line, the dashboard.
//! - [`Spending::snapshot`]: what is scraped.
//! - [`Spending::kept`] and [`Spending::restore`]: over a restart.
//!
//! Clients and origins may bring any number of names. So models that are told apart are bounded as in metrics, and rows by `max_rows`: of too many, those with the
//! smallest sums become one, so a flood of invented clients hides nobody who has spent much.

mod book;
mod kept;
mod report;
mod sum;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_tower::clock::Clock;

use crate::config;
use crate::telemetry::metrics::UsageOutcome;
use book::{Book, Row};
pub(crate) use kept::KeptSpending;
pub(crate) use report::{Filter, SpendingReport, SpendingRow, SpendingWindow};
pub(crate) use sum::Sum;
#[cfg(test)]
pub(crate) use sum::Sums;

/// In place of the client, where no limit tells clients apart, or nobody waited for the answer. No key of a limit is so.
pub(crate) const NO_CLIENT: &str = "!none";

/// In place of clients whose sums were too small to be kept apart. No key of a limit is so.
pub(crate) const OTHERS: &str = "!others";

/// What people call a client of the book.
pub(crate) fn client_name(client: &str) -> &str {
    match client {
        NO_CLIENT => "(no client)",
        OTHERS => "(all others)",
        client => client,
    }
}

/// The sums of this process.
#[derive(Debug)]
pub(crate) struct Spending {
    clock: Clock,
    book: Mutex<Book>,
}

/// Who has asked for an answer, and which model has given it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) route: &'a Arc<str>,
    pub(crate) client: Option<&'a str>,
    pub(crate) model: Option<&'a str>,
}

impl Spending {
    /// That of `before`, which is to [`Self::follow`] the settings, or a new one.
    pub(crate) fn of(settings: &config::Spending, clock: &Clock, before: Option<&Arc<Self>>) -> Arc<Self> {
        before.map_or_else(|| Arc::new(Self::new(settings, clock)), Arc::clone)
    }

    pub(crate) fn new(settings: &config::Spending, clock: &Clock) -> Self {
        Self { clock: clock.clone(), book: Mutex::new(Book::new(settings, seconds(clock))) }
    }

    /// Goes by other settings. The sums of the running day and month stay.
    pub(crate) fn follow(&self, settings: &config::Spending) {
        let now = self.now();
        self.book().follow(settings, now);
    }

    /// Adds an answer. Models take so long for one that a lock does not matter here.
    pub(crate) fn add(&self, asked: Asked<'_>, outcome: UsageOutcome, sum: Sum) {
        let row = Row {
            route: Arc::clone(asked.route),
            client: asked.client.unwrap_or(NO_CLIENT).into(),
            model: asked.model.unwrap_or(book::OTHER_MODEL).into(),
        };
        let now = self.now();
        self.book().add(row, outcome, sum, now);
    }

    /// Bytes that it takes, within the memory that everything has.
    pub(crate) fn bytes(&self) -> u64 {
        self.book().bytes()
    }

    /// The book, in which the running windows are those of now.
    fn current(&self) -> MutexGuard<'_, Book> {
        let now = self.now();
        let mut book = self.book();
        book.turn(now);
        book
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        seconds(&self.clock)
    }
}

fn seconds(clock: &Clock) -> u64 {
    clock.now().as_millis() / 1000
}
