//! `larder verify`: whether what a running gateway serves is what its origins would say.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::admin_client::AdminFlags;
use super::explain::explained::seconds;
use super::paper::Paper;
use crate::verify::VerifyReport;

/// `larder verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// What is to be done.
    #[command(subcommand)]
    pub action: VerifyAction,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum VerifyAction {
    /// Tell agreement, safe lifetimes, and what differed, by route
    Report(VerifyFlags),
    /// Cache a route again that was stopped, since its answers depend on who asks
    Resume {
        /// The name of the route
        #[arg(value_name = "ROUTE")]
        route: String,
        /// The gateway.
        #[command(flatten)]
        flags: VerifyFlags,
    },
}

/// The gateway that is asked.
#[derive(Debug, Args)]
pub struct VerifyFlags {
    /// The gateway.
    #[command(flatten)]
    pub gateway: AdminFlags,
}

impl Verify {
    /// Asks, and prints the answer.
    pub fn run(&self) -> ExitCode {
        match &self.action {
            VerifyAction::Report(flags) => flags.gateway.run(flags.report()),
            VerifyAction::Resume { route, flags } => flags.gateway.run(flags.resume(route)),
        }
    }
}

impl VerifyFlags {
    async fn report(&self) -> Result<String, String> {
        let answer = self.gateway.get("/verify").await?;
        if self.gateway.json {
            return Ok(format!("{answer:#}"));
        }
        let reports: Vec<VerifyReport> = self.gateway.known(answer)?;
        Ok(text(Paper::for_stdout(), &reports))
    }

    async fn resume(&self, route: &str) -> Result<String, String> {
        let target = format!("/verify/resume/{}", utf8_percent_encode(route, NON_ALPHANUMERIC));
        let answer = self.gateway.post(&target, &json!({})).await?;
        Ok(if self.gateway.json { format!("{answer:#}") } else { format!("route {route} is cached again") })
    }
}

fn text(mut paper: Paper, reports: &[VerifyReport]) -> String {
    if reports.is_empty() {
        paper.raw("no route has `verify`");
    }
    for report in reports {
        write(&mut paper, report);
    }
    paper.text()
}

fn write(paper: &mut Paper, report: &VerifyReport) {
    let stopped = if report.stopped { ", not cached until it is resumed" } else { "" };
    paper.line("route", &format!("{} ({}, {}% of the hits{stopped})", report.route, report.mode, report.sample * 100.0));
    let agreement = match report.agreement {
        Some(agreement) => format!("{:.2}% of {} compared", agreement * 100.0, report.judged),
        None => "nothing was compared yet".to_owned(),
    };
    paper.line("agreement", &format!("{agreement}; {} not judged, {} left out", report.not_judged, report.skipped));
    match report.safe_lifetime {
        Some(safe) => paper.line(
            "safe lifetime",
            &format!(
                "{}: at that age the first answer had changed; the oldest that differed was {} old",
                seconds(safe),
                seconds(report.stalest)
            ),
        ),
        None if report.judged > 0 => paper.line("safe lifetime", &format!("{} at least: none had changed", seconds(report.oldest_agreed))),
        None => {}
    }
    if report.leaks > 0 {
        paper.line("LEAK", &format!("{} answers under one key depend on who asks", report.leaks));
    }
    if !report.noise.is_empty() {
        paper.line("noise", &report.noise.join(", "));
    }
    for example in &report.examples {
        let what = if example.leak { "depends on who asks" } else { "differed" };
        paper.line(&example.at, &format!(" {} after {}: {what} in {}", example.url, seconds(example.age), example.places.join(", ")));
    }
    paper.gap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Example;

    #[test]
    fn a_report_tells_agreement_the_safe_lifetime_and_leaks() {
        let example = Example {
            at: "2026-01-01T00:00:00Z".to_owned(),
            url: "http://a/b".to_owned(),
            age: 40,
            leak: true,
            places: vec!["$.who".to_owned()],
        };
        let report = VerifyReport {
            route: "me".to_owned(),
            mode: "check".to_owned(),
            sample: 0.5,
            judged: 8,
            agreed: 6,
            differed: 1,
            leaks: 1,
            agreement: Some(0.75),
            safe_lifetime: Some(30),
            stalest: 50,
            stopped: true,
            examples: vec![example],
            ..VerifyReport::default()
        };
        let text = text(Paper::plain(), &[report]);
        for said in [
            "route         me (check, 50% of the hits, not cached until it is resumed)",
            "agreement     75.00% of 8 compared; 0 not judged, 0 left out",
            "safe lifetime 30s: at that age the first answer had changed; the oldest that differed was 50s old",
            "LEAK          1 answers under one key depend on who asks",
            "2026-01-01T00:00:00Z http://a/b after 40s: depends on who asks in $.who",
        ] {
            assert!(text.contains(said), "no {said:?} in:\n{text}");
        }
    }
}
