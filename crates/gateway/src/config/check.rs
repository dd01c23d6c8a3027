//! `larder check`.

use std::path::Path;
use std::process::ExitCode;

use super::model::Config;
use super::overrides::Overrides;

/// Reads the file and says what it thinks of it: a summary on stdout, warnings and errors on stderr. Fails on any error.
pub fn check(path: &Path, overrides: &Overrides) -> ExitCode {
    match super::load(path, overrides) {
        Ok((config, warnings)) => {
            warnings.print();
            println!("{}: ok ({})", path.display(), summary(&config, warnings.warnings()));
            ExitCode::SUCCESS
        }
        Err(report) => {
            report.print();
            eprintln!("\n{}: {}", path.display(), tally(&[(report.errors(), "error"), (report.warnings(), "warning")]));
            ExitCode::FAILURE
        }
    }
}

fn summary(config: &Config, warnings: usize) -> String {
    let mut counts = vec![(config.routes.len(), "route"), (config.upstreams.len(), "upstream")];
    if warnings > 0 {
        counts.push((warnings, "warning"));
    }
    counts.iter().map(|(count, noun)| plural(*count, noun)).collect::<Vec<_>>().join(", ")
}

/// What there is any of.
fn tally(counts: &[(usize, &str)]) -> String {
    counts.iter().filter(|(count, _)| *count > 0).map(|(count, noun)| plural(*count, noun)).collect::<Vec<_>>().join(", ")
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
