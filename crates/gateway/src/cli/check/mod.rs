//! `larder check`.

mod names;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::admin_client::print;
use crate::config::{self, Config, Overrides, Report};
use crate::trials::{beside, load, untested};

/// `larder check`
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "config.toml")]
    pub config: PathBuf,
    /// Warn of routes that no test asks for, too
    #[arg(long)]
    pub strict: bool,
}

impl Check {
    /// Checks the file as `serve` would read it.
    pub fn run(&self) -> ExitCode {
        check(&self.config, &Overrides::from_env(), self.strict)
    }
}

/// Prints a summary of the file on stdout, its warnings and errors on stderr. Any error makes it fail.
fn check(path: &Path, overrides: &Overrides, strict: bool) -> ExitCode {
    match config::load(path, overrides) {
        Ok((config, warnings)) => {
            warnings.print();
            let mut further = names::unresolved(&config);
            let files = match load(&beside(path), &config) {
                Ok(files) => files,
                Err(wrong) => return broken(&wrong),
            };
            if strict {
                let files: Vec<_> = config.test_file().into_iter().chain(files).collect();
                further.extend(untested(&config, &files).into_iter().map(|route| config.untested(route)));
            }
            further.iter().for_each(Report::print);
            let count = warnings.warnings() + further.len();
            print(&format!("{}: ok ({})", path.display(), summary(&config, count)))
        }
        Err(report) => {
            report.print();
            let _ = writeln!(std::io::stderr(), "\n{}: {}", path.display(), tally(&report));
            ExitCode::FAILURE
        }
    }
}

/// Prints what is wrong with files of tests.
fn broken(reports: &[Report]) -> ExitCode {
    for report in reports {
        report.print();
        let _ = writeln!(std::io::stderr(), "\n{}", tally(report));
    }
    ExitCode::FAILURE
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn the_summary_counts_what_there_is() {
        let text = "[upstreams.api]\nurl = \"http://h\"\n[[routes]]\npath = \"/a\"\n[[routes]]\npath = \"/b\"\nttl = \"25h\"\n";
        let (config, warnings) = parse("config.toml", text.as_bytes(), &Overrides::default()).unwrap();
        assert_eq!(summary(&config, warnings.warnings()), "2 routes, 1 upstream, 1 warning");
    }

    #[test]
    fn the_tally_counts_what_is_wrong() {
        let text = "[upstreams.api]\nurl = \"h\"\n[cache]\ntll = 1\nttl = \"25h\"\n";
        let report = parse("config.toml", text.as_bytes(), &Overrides::default()).unwrap_err();
        assert_eq!(tally(&report), "2 errors, 1 warning");
    }

    #[test]
    fn only_an_error_fails() {
        let reference = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config.toml"));
        for strict in [false, true] {
            assert_eq!(check(&reference, &Overrides::default(), strict), ExitCode::SUCCESS);
        }
        assert_eq!(check(&reference.with_file_name("no-such-file.toml"), &Overrides::default(), false), ExitCode::FAILURE);
    }
}
