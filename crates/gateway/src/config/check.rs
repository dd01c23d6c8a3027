//! `larder check`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use super::model::Config;
use super::overrides::Overrides;
use super::report::Report;

/// Reads the file and says what it thinks of it: a summary on stdout, warnings and errors on stderr. Fails on any error.
pub fn check(path: &Path, overrides: &Overrides) -> ExitCode {
    match super::load(path, overrides) {
        Ok((config, warnings)) => {
            warnings.print();
            let _ = writeln!(std::io::stdout(), "{}: ok ({})", path.display(), summary(&config, warnings.warnings()));
            ExitCode::SUCCESS
        }
        Err(report) => {
            report.print();
            let _ = writeln!(std::io::stderr(), "\n{}: {}", path.display(), tally(&report));
            ExitCode::FAILURE
        }
    }
}

fn summary(config: &Config, warnings: usize) -> String {
    let mut counts = vec![plural(config.routes.len(), "route"), plural(config.upstreams.len(), "upstream")];
    counts.extend((warnings > 0).then(|| plural(warnings, "warning")));
    counts.join(", ")
}

fn tally(report: &Report) -> String {
    let mut counts = vec![plural(report.errors(), "error")];
    counts.extend((report.warnings() > 0).then(|| plural(report.warnings(), "warning")));
    counts.join(", ")
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
