//! `larder warm`: a running gateway fetches what nobody has asked for yet.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::admin_client::AdminFlags;
use super::paper::Paper;
use crate::jobs::JobReport;

/// How often it is asked how far the jobs are.
const LOOK: Duration = Duration::from_millis(300);

/// `larder warm`
#[derive(Debug, Args)]
pub struct Warm {
    /// Names of jobs; all of them if none is given
    #[arg(value_name = "NAME")]
    pub jobs: Vec<String>,
    /// Say how the jobs stand, and run none
    #[arg(long, conflicts_with = "jobs")]
    pub status: bool,
    /// The gateway.
    #[command(flatten)]
    pub gateway: AdminFlags,
}

impl Warm {
    /// Runs the jobs, waits for their end, and prints a table: exit code 1 where something could not be fetched.
    pub fn run(&self) -> ExitCode {
        self.gateway.run(self.warmed())
    }

    async fn warmed(&self) -> Result<String, String> {
        if self.status {
            let answer = self.gateway.get("/warm/jobs").await?;
            return if self.gateway.json { Ok(format!("{answer:#}")) } else { Ok(table(&self.gateway.known::<Vec<_>>(answer)?)) };
        }
        let started: Vec<JobReport> = self.gateway.known(self.gateway.post("/warm", &json!({ "jobs": self.jobs })).await?)?;
        if started.is_empty() {
            return Err("the gateway has no job to run\n  hint: add [[warm]] with name, host and urls to its configuration".to_owned());
        }
        loop {
            let answer = self.gateway.get("/warm/jobs").await?;
            let all: Vec<JobReport> = self.gateway.known(answer.clone())?;
            let own: Vec<JobReport> = all.into_iter().filter(|job| started.iter().any(|begun| begun.name == job.name)).collect();
            tell_progress(&own);
            if own.iter().all(|job| !job.running) {
                let text = if self.gateway.json { format!("{answer:#}") } else { table(&own) };
                return if own.iter().all(|job| job.failed == 0) {
                    Ok(text)
                } else {
                    Err(format!("some of it could not be fetched\n{text}"))
                };
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// One line that is written over, for people.
fn tell_progress(jobs: &[JobReport]) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let sum = |of: fn(&JobReport) -> u64| jobs.iter().map(of).sum::<u64>();
        let (done, total, stored, failed) = (sum(|job| job.done), sum(|job| job.total), sum(|job| job.stored), sum(|job| job.failed));
        let _ = write!(stderr, "\r{done} of {total}, {stored} stored, {failed} failed ");
        if jobs.iter().all(|job| !job.running) {
            let _ = writeln!(stderr);
        }
    }
}

fn table(jobs: &[JobReport]) -> String {
    let mut paper = Paper::for_stdout();
    write_jobs(&mut paper, jobs);
    paper.text()
}

fn write_jobs(paper: &mut Paper, jobs: &[JobReport]) {
    let row = |job: &JobReport| {
        let numbers = [job.done, job.total, job.hits, job.stored, job.failed].map(|number| number.to_string());
        let reasons: Vec<String> = job.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        std::iter::once(job.name.clone()).chain(numbers).chain([reasons.join(", ")]).collect::<Vec<String>>()
    };
    let rows: Vec<Vec<String>> = jobs.iter().map(row).collect();
    paper.table(&["job", "done", "of", "hits", "stored", "failed", "why not"], &rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_has_a_row_with_what_was_not_stored() {
        let reasons = [("response-no-store".to_owned(), 2), ("server-error".to_owned(), 1)].into();
        let job =
            JobReport { name: "listings".to_owned(), total: 9, done: 9, hits: 1, stored: 5, failed: 1, reasons, ..JobReport::default() };
        let mut paper = Paper::plain();
        write_jobs(&mut paper, &[job]);
        let text = paper.text();
        assert!(text.contains("listings") && text.contains("2 response-no-store, 1 server-error"), "{text}");
    }
}
