//! What most views are made of: tables, and figures in a row.

use crate::config::display_bytes;
pub(super) use crate::figures::{percent, short, time};

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

pub(super) fn bytes(bytes: u64) -> String {
    display_bytes(bytes)
}
