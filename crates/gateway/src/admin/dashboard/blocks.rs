//! What most views are made of: tables, and figures in a row.

use std::time::Duration;

use crate::config::{display_bytes, display_duration};

/// A table with a title.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Unique on its page: scripts replace blocks by it.
    pub(super) id: String,
    pub(super) title: String,
    /// A sentence below the title; empty for none.
    pub(super) note: String,
    pub(super) heads: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Cell>>,
}

/// One cell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    /// Of the style sheet: `num`, `good`, `warn`, `bad`, or none.
    pub(super) class: &'static str,
    /// Where it leads, within the dashboard.
    pub(super) link: Option<String>,
}

/// A figure with its name.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) name: &'static str,
    pub(super) figure: String,
    /// What else is worth knowing of it.
    pub(super) note: String,
}

impl Block {
    pub(super) fn new(id: &str, title: &str, heads: &[&'static str]) -> Self {
        Self { id: id.to_owned(), title: title.to_owned(), heads: heads.to_vec(), ..Self::default() }
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub(super) fn rows(mut self, rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        self.rows = rows.into_iter().collect();
        self
    }

    /// Whether all there is in a column are numbers, which stand at the right.
    pub(super) fn is_number(&self, column: &usize) -> bool {
        self.rows.iter().filter_map(|row| row.get(*column)).any(|cell| cell.class == "num")
    }
}

pub(super) fn text(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), ..Cell::default() }
}

pub(super) fn number(number: impl ToString) -> Cell {
    Cell { text: number.to_string(), class: "num", link: None }
}

/// A word about a state, in a colour and, for those who see none, always as a word.
pub(super) fn state(word: impl Into<String>, class: &'static str) -> Cell {
    Cell { text: word.into(), class, link: None }
}

pub(super) fn link(text: impl Into<String>, to: String) -> Cell {
    Cell { text: text.into(), class: "", link: Some(to) }
}

/// `97.3 %`, or a dash where there is nothing to compare.
pub(super) fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0))
}

/// Seconds in the unit that suits them.
pub(super) fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(0.0) => "0 s".to_owned(),
        Some(seconds) if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) if seconds < 60.0 => format!("{seconds:.1} s"),
        Some(seconds) => display_duration(Duration::from_secs(seconds.round() as u64)),
    }
}

pub(super) fn bytes(bytes: u64) -> String {
    display_bytes(bytes)
}

/// `12.3`, `1.2 k`, `3.4 M`.
pub(super) fn short(number: f64) -> String {
    match number {
        number if number >= 1e6 => format!("{:.1} M", number / 1e6),
        number if number >= 1e4 => format!("{:.1} k", number / 1e3),
        number if number >= 100.0 || number.fract() == 0.0 => format!("{number:.0}"),
        number => format!("{number:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_say_their_unit() {
        let times = [None, Some(0.0), Some(0.000_042), Some(0.0123), Some(2.5), Some(90.0)].map(time);
        assert_eq!(times, ["–", "0 s", "42 µs", "12.3 ms", "2.5 s", "1m30s"]);
        assert_eq!([0.0, 0.25, 7.0, 123.4, 12_345.0, 2_500_000.0].map(short), ["0", "0.2", "7", "123", "12.3 k", "2.5 M"]);
        assert_eq!((percent(Some(0.973)), percent(None)), ("97.3 %".to_owned(), "–".to_owned()));
    }
}
