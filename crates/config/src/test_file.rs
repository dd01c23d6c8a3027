//! Files of tests that stand beside a configuration: `*.larder-test.toml`.

use std::path::Path;
use std::sync::Arc;

use crate::model::{Config, TestFile};
use crate::parse::mistake::{Location, Mistake, Mistakes};
use crate::parse::reader::Table;
use crate::parse::report::Report;
use crate::parse::source::Source;
use crate::sections::testing::{self, Tested};

/// Reads a file that has `[[tests]]` and nothing else, of what this configuration is to do.
///
/// # Errors
/// Everything that is wrong with it, each at its place with a hint.
pub fn load_tests(path: &Path, config: &Config) -> Result<TestFile, Report> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        let mistake = Mistake::new(format!("cannot read {shown}: {error}"));
        Report::single(None, Location::Elsewhere, mistake.hint("files of tests are named after the command, or end in .larder-test.toml"))
    })?;
    parse(&shown, &bytes, config)
}

/// As [`load_tests`], of a text; `path` is what the file is called in messages.
pub(crate) fn parse(path: &str, bytes: &[u8], config: &Config) -> Result<TestFile, Report> {
    let text = crate::text(path, bytes)?;
    let (source, mistakes) = (Arc::new(Source::new(path, text)), Mistakes::default());
    let (table, _) = crate::tables(text, &mistakes);
    let mut root = Table::root(&table, &mistakes);
    let tests = testing::read(&mut root, &Tested::of(&config.server, &config.routes, config.fallback.as_ref(), &config.on_event));
    root.finish();
    if mistakes.any_error() {
        return Err(Report::new(Some(source), mistakes));
    }
    Ok(TestFile { tests, source })
}
