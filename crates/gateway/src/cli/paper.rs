//! Text for people: headings, aligned values, and nothing that a terminal would obey.

use std::io::IsTerminal;

use crate::telemetry::visible;

/// A page that is written from the top to the bottom.
pub(super) struct Paper {
    text: String,
    in_colour: bool,
}

/// Columns before a value.
const INDENT: usize = 14;

impl Paper {
    /// For stdout: colours only on a terminal whose user has not asked for none (<https://no-color.org>).
    pub(super) fn for_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { text: String::new(), in_colour: wanted && std::io::stdout().is_terminal() }
    }

    /// Without colours.
    pub(super) fn plain() -> Self {
        Self { text: String::new(), in_colour: false }
    }

    /// A line with a name before it.
    pub(super) fn line(&mut self, name: &str, value: &str) {
        let name = format!("{name:<INDENT$}");
        let name = if self.in_colour && !name.trim().is_empty() { format!("\u{1b}[1m{name}\u{1b}[0m") } else { name };
        self.text.push_str(&name);
        self.text.push_str(&visible(value));
        self.text.push('\n');
    }

    /// A line without a name.
    pub(super) fn raw(&mut self, line: &str) {
        self.text.push_str(&visible(line));
        self.text.push('\n');
    }

    /// Another line of the value before.
    pub(super) fn more(&mut self, value: &str) {
        self.line("", value);
    }

    /// An empty line.
    pub(super) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A table whose columns are as wide as what stands in them; numbers stand at the right.
    pub(super) fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| visible(cell).into_owned()).collect()).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([heads[column].chars().count()]).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let is_number = |column: usize| {
            let mut cells = rows.iter().filter_map(|row| row.get(column)).peekable();
            cells.peek().is_some() && cells.all(|cell| cell.starts_with(|first: char| first.is_ascii_digit() || "-–".contains(first)))
        };
        let right: Vec<bool> = (0..heads.len()).map(is_number).collect();
        let mut put = |cells: &[&str], bold: bool| {
            let mut line = String::new();
            for (column, cell) in cells.iter().enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                let width = widths[column];
                let cell = if right[column] { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
                line.push_str(gap);
                line.push_str(&cell);
            }
            let line = line.trim_end();
            self.text.push_str(&if bold && self.in_colour { format!("\u{1b}[1m{line}\u{1b}[0m") } else { line.to_owned() });
            self.text.push('\n');
        };
        put(heads, true);
        for row in &rows {
            put(&row.iter().map(String::as_str).collect::<Vec<_>>(), false);
        }
    }

    /// All of it.
    pub(super) fn text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_obey() {
        let mut paper = Paper::plain();
        paper.line("URL", "http://a/\u{1b}[2J\nforged");
        paper.table(&["key"], &[vec!["\u{9b}2J".to_owned()]]);
        let text = paper.text();
        assert!(!text.contains('\u{1b}') && !text.contains('\u{9b}') && text.lines().count() == 3, "{text}");
    }

    #[test]
    fn columns_are_aligned() {
        let mut paper = Paper::plain();
        paper.table(&["route", "hits"], &[vec!["a".to_owned(), "1".to_owned()], vec!["longer".to_owned(), "200".to_owned()]]);
        assert_eq!(paper.text(), "route   hits\na          1\nlonger   200\n");
    }
}
