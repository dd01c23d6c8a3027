//! `larder verify`: whether what a running gateway serves is what its origins would say.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::admin_client::{AdminAddress, AdminFlags, print};
use super::explain::explained::seconds;
use super::paper::Paper;
use crate::replicas::ReplicasReport;
use crate::verify::{VerifyReport, merged};

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

/// The gateways that are asked.
#[derive(Debug, Args)]
pub struct VerifyFlags {
    /// The gateway.
    #[command(flatten)]
    pub gateway: AdminFlags,
    /// The admin listener of one more replica: each knows what it has compared itself
    #[arg(long, value_name = "ADDRESS")]
    pub replica: Vec<AdminAddress>,
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
    /// All gateways, the first one first.
    fn gateways(&self) -> impl Iterator<Item = AdminFlags> {
        let others = self.replica.iter().map(|admin| AdminFlags { admin: admin.clone(), ..self.gateway.clone() });
        std::iter::once(self.gateway.clone()).chain(others)
    }

    async fn report(&self) -> Result<String, String> {
        let mut all: Vec<VerifyReport> = Vec::new();
        for gateway in self.gateways() {
            let reports: Vec<VerifyReport> = gateway.known(gateway.get("/verify").await?)?;
            all.extend(reports);
        }
        let reports = merged(all);
        if self.gateway.json {
            return json_of(reports);
        }
        Ok(text(Paper::for_stdout(), &reports, &self.scope().await))
    }

    /// Whose comparisons these are, where there are several replicas.
    async fn scope(&self) -> String {
        if !self.replica.is_empty() {
            return format!("of {} replicas together", self.replica.len() + 1);
        }
        // It is said besides the report, so that a gateway which does not say it harms nothing.
        let known = self.gateway.get("/replicas").await.and_then(|answer| self.gateway.known::<ReplicasReport>(answer));
        match known.map(|report| report.replicas.len()).unwrap_or_default() {
            0 | 1 => String::new(),
            count => format!("of {} alone, one of {count} replicas: --replica ADDRESS adds another", self.gateway.admin),
        }
    }

    /// A route may be stopped on some replicas only; a replica that cannot be asked may be one of them.
    async fn resume(&self, route: &str) -> Result<String, String> {
        let target = format!("/verify/resume/{}", utf8_percent_encode(route, NON_ALPHANUMERIC));
        let (mut resumed, mut refused) = (Vec::new(), Vec::new());
        for gateway in self.gateways() {
            match resume_on(&gateway, &target).await {
                Ok(report) => resumed.extend(report),
                Err(error) if self.replica.is_empty() => return Err(error),
                Err(error) => refused.push(format!("{}: {error}", gateway.admin)),
            }
        }
        let count = resumed.len();
        let done = match count {
            0 => format!("route {route} was not stopped"),
            _ if self.replica.is_empty() => format!("route {route} is cached again"),
            _ => format!("route {route} is cached again on {count} replicas"),
        };
        let told = if self.gateway.json { json_of(merged(resumed))? } else { done.clone() };
        match (count, refused.is_empty()) {
            (0, true) => Err(done),
            (0, false) => Err(refused.join("\n")),
            (_, true) => Ok(told),
            (_, false) => {
                // What has been done is told like any answer.
                print(&told);
                Err(format!("not on all: {}", refused.join("\n")))
            }
        }
    }
}

/// Lets one gateway cache the route again; `None` where it was not stopped there.
async fn resume_on(gateway: &AdminFlags, target: &str) -> Result<Option<VerifyReport>, String> {
    let request = gateway.request(Method::POST, target)?.body(Full::default()).map_err(|error| error.to_string())?;
    match gateway.admin.send(request).await? {
        (StatusCode::CONFLICT, _) => Ok(None),
        (status, body) if status.is_success() => gateway.known(serde_json::from_slice(&body).unwrap_or_default()).map(Some),
        (status, body) => Err(gateway.refusal(status, &body)),
    }
}

fn json_of(reports: Vec<VerifyReport>) -> Result<String, String> {
    serde_json::to_string_pretty(&reports).map_err(|error| error.to_string())
}

fn text(mut paper: Paper, reports: &[VerifyReport], scope: &str) -> String {
    if reports.is_empty() {
        paper.raw("no route has `verify`");
    }
    if !scope.is_empty() {
        paper.raw(scope);
        paper.gap();
    }
    for report in reports {
        write(&mut paper, report);
    }
    paper.text()
}

fn write(paper: &mut Paper, report: &VerifyReport) {
    let stopped = if report.stopped { ", not cached until it is resumed" } else { "" };
    paper.line("route", &format!("{} ({}, {}% of the hits{stopped})", report.route, report.mode, (report.sample * 1e4).round() / 100.0));
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
            sample: 0.29,
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
        let text = text(Paper::plain(), &[report], "of 2 replicas together");
        for said in [
            "of 2 replicas together",
            "route         me (check, 29% of the hits, not cached until it is resumed)",
            "agreement     75.00% of 8 compared; 0 not judged, 0 left out",
            "safe lifetime 30s: at that age the first answer had changed; the oldest that differed was 50s old",
            "LEAK          1 answers under one key depend on who asks",
            "2026-01-01T00:00:00Z http://a/b after 40s: depends on who asks in $.who",
        ] {
            assert!(text.contains(said), "no {said:?} in:\n{text}");
        }
    }
}
