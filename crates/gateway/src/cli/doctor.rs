//! `larder doctor`: the checks that an experienced operator would run.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::admin_client::print;
use super::paper::Paper;
use crate::config::{self, Overrides};
use crate::doctor::{Finding, Verdict, broken, examine, of_configuration};

/// `larder doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "config.toml")]
    pub config: PathBuf,
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
}

impl Doctor {
    /// Looks at everything, and prints what it finds: exit 0 if all is well, 1 on warnings, 2 on errors.
    pub fn run(&self) -> ExitCode {
        let findings = match config::load(&self.config, &Overrides::from_env()) {
            Err(report) => broken(&report),
            Ok((config, warnings)) => {
                let mut findings = of_configuration(&config, &warnings);
                // Both, should the dependencies ever bring a second provider: rustls would refuse to choose.
                let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
                match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => findings.extend(runtime.block_on(examine(config))),
                    Err(error) => {
                        eprintln!("error: {error}");
                        return ExitCode::from(2);
                    }
                }
                findings
            }
        };
        let printed = match self.json {
            true => print(&serde_json::to_string_pretty(&findings).unwrap_or_default()),
            false => print(&text(Paper::for_stdout(), &findings)),
        };
        match findings.iter().map(|finding| finding.verdict).max() {
            Some(Verdict::Error) => ExitCode::from(2),
            Some(Verdict::Warning) => ExitCode::from(1),
            Some(Verdict::Good) | None => printed,
        }
    }
}

fn text(mut paper: Paper, findings: &[Finding]) -> String {
    for finding in findings {
        let word = match finding.verdict {
            Verdict::Good => "ok",
            Verdict::Warning => "warning",
            Verdict::Error => "error",
        };
        paper.line(word, &format!("{}: {}", finding.what, finding.why));
        if let Some(remedy) = &finding.remedy {
            paper.more(&format!("remedy: {remedy}"));
        }
    }
    paper.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_has_its_verdict_and_its_remedy() {
        let finding = |verdict, remedy: Option<&str>| Finding {
            verdict,
            what: "memory".to_owned(),
            why: "there is little".to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        let text = text(Paper::plain(), &[finding(Verdict::Good, None), finding(Verdict::Error, Some("buy some"))]);
        assert_eq!(text, "ok            memory: there is little\nerror         memory: there is little\n              remedy: buy some\n");
    }
}
