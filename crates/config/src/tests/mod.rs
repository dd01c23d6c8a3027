//! The configuration as a whole, from text to data or to the text of errors.

mod connections;
mod contents;
mod hostile;
mod inheritance;
mod lifetimes;
mod operating;
mod outside;
mod purges;
mod reference;
mod routes;
mod rules;
mod safety;
mod stores;
mod testing;
mod text;
mod ways;

use super::{Config, Overrides, Report, Warnings, parse};

/// The smallest valid configuration.
const UPSTREAM: &str = "[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n";

pub(super) fn load(text: &str) -> Result<(Config, Warnings), Report> {
    parse("config.toml", text.as_bytes(), &Overrides::default())
}

/// A configuration without errors; `text` comes before an upstream.
fn config(text: &str) -> Config {
    load(&format!("{text}\n{UPSTREAM}")).unwrap_or_else(|report| panic!("{report}")).0
}

/// One line for each thing that is wrong; `text` comes before an upstream.
fn complaints(text: &str) -> Vec<String> {
    match load(&format!("{text}\n{UPSTREAM}")) {
        Ok((_, warnings)) => warnings.lines().collect(),
        Err(report) => report.lines().collect(),
    }
}

#[track_caller]
fn assert_complaint(text: &str, expected: &str) {
    assert_eq!(complaints(text), [format!("config.toml:{expected}")]);
}

#[track_caller]
fn in_cache(line: &str, expected: &str) {
    assert_complaint(&format!("[cache]\n{line}"), expected);
}

#[track_caller]
fn in_route(line: &str, expected: &str) {
    assert_complaint(&format!("[[routes]]\npath = \"/a/{{id}}\"\n{line}"), expected);
}
