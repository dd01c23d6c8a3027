//! The configuration as a whole, from text to data or to the text of errors.

mod hostile;
mod inheritance;
mod listeners;
mod outside;
mod reference;
mod rules;
mod text;
mod upstreams;

use super::{Config, Overrides, Report, Warnings, parse};

/// The least that makes a configuration.
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
