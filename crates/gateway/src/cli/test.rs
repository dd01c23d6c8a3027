//! `larder test`: runs the tests of a configuration.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::admin_client::print;
use super::explain::explained;
use super::paper::Paper;
use crate::config::{self, Config, Overrides, TestFile};
use crate::trials::{TestReport, TestsReport, beside, junit, load, run};

/// The exit code where nothing could be run.
const UNUSABLE: u8 = 2;

/// `larder test`
#[derive(Debug, Args)]
pub struct Test {
    /// Files of tests; without any those of the configuration, and the files *.larder-test.toml beside it
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "config.toml")]
    pub config: PathBuf,
    /// Run only tests whose name has this in it
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Write the report to this file too, as JUnit has it
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

impl Test {
    /// Runs them: exit 0 where all have passed, 1 where one has failed, 2 where none could be run.
    pub fn run(&self) -> ExitCode {
        match self.report() {
            Ok(report) => self.tell(&report),
            Err(why) => {
                eprintln!("{}", why.trim_end());
                ExitCode::from(UNUSABLE)
            }
        }
    }

    fn report(&self) -> Result<TestsReport, String> {
        let (config, warnings) = config::load(&self.config, &Overrides::from_env()).map_err(|report| report.render(false))?;
        warnings.print();
        let files = self.files(&config)?;
        let wanted = |name: &str| self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
        if !files.iter().flat_map(|file| &file.tests).any(|test| wanted(&test.name)) {
            let named = self.filter.as_ref().map_or(String::new(), |filter| format!(" whose name has `{filter}` in it"));
            return Err(format!(
                "error: there is no test{named}\nhint: write [[tests]] in {}, or a file *.larder-test.toml beside it",
                self.config.display()
            ));
        }
        // Both, should the dependencies ever bring a second provider: rustls would refuse to choose.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| format!("error: {error}"))?;
        runtime.block_on(run(&config, &files, self.filter.as_deref())).map_err(|error| format!("error: {error}"))
    }

    fn files(&self, config: &Config) -> Result<Vec<TestFile>, String> {
        let (own, others) = match self.files.is_empty() {
            true => (config.test_file(), beside(&self.config)),
            false => (None, self.files.clone()),
        };
        let others =
            load(&others, config).map_err(|reports| reports.iter().map(|report| report.render(false)).collect::<Vec<_>>().join("\n"))?;
        Ok(own.into_iter().chain(others).collect())
    }

    fn tell(&self, report: &TestsReport) -> ExitCode {
        if let Some(file) = &self.junit
            && let Err(error) = std::fs::write(file, junit(report))
        {
            eprintln!("error: cannot write {}: {error}", file.display());
            return ExitCode::from(UNUSABLE);
        }
        let text = match self.json {
            true => serde_json::to_string_pretty(report).unwrap_or_default(),
            false => text(Paper::for_stdout(), report),
        };
        let printed = print(&text);
        if report.failed > 0 { ExitCode::FAILURE } else { printed }
    }
}

fn text(mut paper: Paper, report: &TestsReport) -> String {
    for test in &report.tests {
        write(&mut paper, test);
    }
    let (passed, failed, time) = (report.passed, report.failed, report.duration_ms);
    paper.raw(&format!("{passed} passed, {failed} failed, in {time:.1} ms"));
    paper.text()
}

fn write(paper: &mut Paper, test: &TestReport) {
    let Some(failed) = &test.failure else { return paper.line("ok", &test.name) };
    paper.line("FAILED", &format!("{} ({}:{})", test.name, test.file, test.line));
    paper.line("step", &format!("{} in line {}: {}", failed.step, failed.line, failed.what));
    for difference in &failed.differences {
        let expected = match difference.expected.as_str() {
            "" => String::new(),
            expected => format!("expected {expected}, found "),
        };
        // Names of fields may be longer than the column.
        paper.line(&format!("{} ", difference.what), &format!("{expected}{}", difference.found));
    }
    if let Some(explanation) = &failed.explanation {
        paper.line("explained", "before this step `larder explain` would have said:");
        explained::write(paper, explanation);
    }
    paper.gap();
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn test(folder: &Path, filter: Option<&str>) -> Test {
        let config = folder.join("config.toml");
        Test { files: Vec::new(), config, filter: filter.map(str::to_owned), json: false, junit: None }
    }

    #[test]
    fn the_shipped_configuration_passes_its_own_tests() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let report = test(&shipped, None).report().expect("it runs");
        assert!(report.passed > 0 && report.failed == 0, "{}", text(Paper::plain(), &report));
        let none = test(&shipped, Some("no such name")).report().expect_err("nothing to run");
        assert!(none.contains("there is no test whose name has `no such name` in it"), "{none}");
    }
}
