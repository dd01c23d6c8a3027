//! What was spent and saved, as another process takes it over.

use serde::{Deserialize, Serialize};

use super::Spending;
use super::book::{Row, Windows, ends_at};
use super::sum::Sums;

/// Seconds.
const DAY: u64 = 86_400;

/// The running day and month.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct KeptSpending {
    /// When they end, in seconds since 1970.
    day_ends_at: u64,
    month_ends_at: u64,
    rows: Vec<KeptRow>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptRow {
    route: String,
    client: String,
    model: String,
    day: Sums,
    month: Sums,
}

impl Spending {
    /// What another process has to know; `None`: nothing.
    pub(crate) fn kept(&self) -> Option<KeptSpending> {
        let book = self.current();
        let row = |(row, windows): (&Row, &Windows)| KeptRow {
            route: row.route.to_string(),
            client: row.client.to_string(),
            model: row.model.to_string(),
            day: windows.day,
            month: windows.month,
        };
        let rows = book.rows().map(row).collect();
        (!book.is_empty()).then(|| KeptSpending { day_ends_at: ends_at(book.day), month_ends_at: ends_at(book.month), rows })
    }

    /// Adds what another process has left, as far as it is of the windows that run; how many rows that were.
    pub(crate) fn restore(&self, kept: &KeptSpending) -> usize {
        let mut book = self.current();
        // Months end weeks apart, and in another time zone at most a day: what was counted is of this month all the same.
        if kept.month_ends_at.abs_diff(ends_at(book.month)) > 2 * DAY {
            return 0;
        }
        let is_today = kept.day_ends_at == ends_at(book.day);
        for KeptRow { route, client, model, day, month } in &kept.rows {
            let row = Row { route: route.as_str().into(), client: client.as_str().into(), model: model.as_str().into() };
            book.put(row, &Windows { day: if is_today { *day } else { Sums::default() }, month: *month });
        }
        kept.rows.len()
    }
}
