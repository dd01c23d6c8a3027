//! The configuration in force.

use super::super::endpoints::Shared;
use super::blocks::{Block, Cell, text};
use crate::config::Setting;

/// A block for each section.
pub(super) fn blocks(shared: &Shared) -> Vec<Block> {
    let effective = shared.gateway.active.load().config.effective();
    let file = effective.file.unwrap_or_default();
    let blocks = effective.sections.iter().enumerate().map(|(number, section)| {
        let rows = section.values.iter().map(|setting| row(setting, &file));
        Block::new(&format!("section-{number}"), &section.name, &["Key", "Value", "From"]).rows(rows)
    });
    blocks.collect()
}

fn row(setting: &Setting, file: &str) -> Vec<Cell> {
    let from = match (setting.from.as_str(), setting.line) {
        ("file", Some(line)) => format!("{file}:{line}"),
        (from, _) => from.to_owned(),
    };
    let from = match &setting.inherited {
        Some(section) => format!("{section}, {from}"),
        None => from,
    };
    vec![text(setting.key.clone()), Cell { class: "code", ..text(setting.value.clone()) }, text(from)]
}
