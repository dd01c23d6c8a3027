//! `larder warm`: a running gateway fetches what nobody has asked for yet.

mod progress;
mod table;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::admin_client::{AdminFlags, put};
use crate::jobs::JobReport;
use progress::Progress;
use table::table;

/// How often it is asked how far the jobs are.
const LOOK: Duration = Duration::from_millis(300);

/// Bytes of URLs in one question: the admin listener takes a little more.
const MAX_BATCH: usize = 900 << 10;

/// `larder warm`
#[derive(Debug, Args)]
pub struct Warm {
    /// Names of jobs; all of them if none is given, and no URLs are
    #[arg(value_name = "NAME")]
    pub jobs: Vec<String>,
    /// Fetch whole URLs of a file, one a line; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "jobs")]
    pub urls: Option<PathBuf>,
    /// Fetch what a sitemap names, or an index of sitemaps
    #[arg(long, value_name = "URL", conflicts_with = "jobs")]
    pub sitemap: Option<String>,
    /// Requests at the same time, with --urls and --sitemap
    #[arg(long, value_name = "NUMBER", conflicts_with = "jobs")]
    pub concurrency: Option<usize>,
    /// Fetch nothing, and say what would be fetched
    #[arg(long)]
    pub dry_run: bool,
    /// Say how the jobs stand, and run none
    #[arg(long, conflicts_with_all = ["jobs", "urls", "sitemap", "concurrency", "dry_run"])]
    pub status: bool,
    /// The gateway.
    #[command(flatten)]
    pub gateway: AdminFlags,
}

impl Warm {
    /// Runs the jobs, waits for their end, and prints a table: exit code 1 where something could not be fetched, or a job was stopped.
    pub fn run(&self) -> ExitCode {
        self.gateway.run(self.warmed())
    }

    async fn warmed(&self) -> Result<String, String> {
        if self.status {
            let answer = self.gateway.get("/warm").await?;
            return if self.gateway.json { Ok(format!("{answer:#}")) } else { Ok(table(&self.gateway.known::<Vec<_>>(answer)?)) };
        }
        let mut ended = Vec::new();
        let mut was_stopped = false;
        // Heeded from here on: one that comes while the gateway is asked must not end this process and leave the jobs running.
        let mut interrupts = signal(SignalKind::interrupt()).map_err(|error| format!("cannot heed Ctrl-C: {error}"))?;
        for question in self.questions()? {
            let started: Vec<JobReport> = self.gateway.known(self.gateway.post("/warm", &question).await?)?;
            if started.is_empty() {
                return Err("the gateway has no job to run\n  hint: add [[warm]] with name, host and urls to its configuration".to_owned());
            }
            let (jobs, is_interrupted) = self.until_ended(started, &mut interrupts).await?;
            was_stopped = is_interrupted || jobs.iter().any(|job| job.stopped);
            ended.extend(jobs);
            if was_stopped {
                break;
            }
        }
        let text = match self.gateway.json {
            true => format!("{:#}", serde_json::to_value(&ended).unwrap_or_default()),
            false => table(&ended),
        };
        let failure = match ended.iter().any(|job| job.failed > 0) {
            _ if was_stopped => "stopped",
            true => "some of it could not be fetched",
            false => return Ok(text),
        };
        // How the jobs have ended is the answer, whatever comes of it.
        put(&text)?;
        Err(failure.to_owned())
    }

    /// Waits for the end of jobs, which Ctrl-C brings about. Returns how they have ended, and whether it has come.
    async fn until_ended(&self, started: Vec<JobReport>, interrupts: &mut Signal) -> Result<(Vec<JobReport>, bool), String> {
        let mut progress = Progress::new();
        let mut is_interrupted = false;
        let mut own = started;
        loop {
            let all: Vec<JobReport> = self.gateway.known(self.gateway.get("/warm").await?)?;
            own = own.into_iter().map(|job| as_it_stands(job, &all)).collect();
            progress.show(&own);
            if own.iter().all(|job| !job.running) {
                progress.end();
                return Ok((own, is_interrupted));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = interrupts.recv() => {
                    for job in own.iter().filter(|job| job.running) {
                        self.gateway.delete(&format!("/warm/{}", job.name)).await?;
                    }
                    is_interrupted = true;
                }
            }
        }
    }

    /// What the gateway is asked for: one question, or several where there are many URLs.
    fn questions(&self) -> Result<Vec<Value>, String> {
        let Some(file) = &self.urls else {
            return Ok(vec![match &self.sitemap {
                Some(sitemap) => json!({ "sitemap": sitemap, "concurrency": self.concurrency, "dry_run": self.dry_run }),
                None => json!({ "jobs": self.jobs, "dry_run": self.dry_run }),
            }]);
        };
        let batches = batches(&read(file)?);
        if batches.is_empty() {
            return Err(format!("{} names no URL", file.display()));
        }
        let question = |(place, urls): (usize, &Vec<String>)| {
            let sitemap = self.sitemap.as_ref().filter(|_| place == 0);
            json!({ "urls": urls, "sitemap": sitemap, "concurrency": self.concurrency, "dry_run": self.dry_run })
        };
        Ok(batches.iter().enumerate().map(question).collect())
    }
}

/// How a job stands now. One that is gone, by a reload or a restart, was stopped where it was seen last.
fn as_it_stands(seen: JobReport, all: &[JobReport]) -> JobReport {
    match all.iter().find(|job| job.name == seen.name) {
        Some(job) => job.clone(),
        None => JobReport { running: false, waiting: false, stopped: seen.stopped || seen.running, ..seen },
    }
}

fn read(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = match file == Path::new("-") {
        true => std::io::stdin().read_to_string(&mut text).map(|_| ()),
        false => std::fs::read_to_string(file).map(|whole| text = whole),
    };
    read.map(|()| text).map_err(|error| format!("cannot read the URLs in {}: {error}", file.display()))
}

/// The URLs of a text, one a line, in groups that fit into a question.
fn batches(text: &str) -> Vec<Vec<String>> {
    let (mut batches, mut length) = (Vec::<Vec<String>>::new(), 0);
    for url in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        // Quotes and a comma.
        length += url.len() + 3;
        match batches.last_mut().filter(|_| length <= MAX_BATCH) {
            Some(batch) => batch.push(url.to_owned()),
            None => {
                length = url.len() + 3;
                batches.push(vec![url.to_owned()]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_is_gone_was_stopped_where_it_was_seen_last() {
        let seen = JobReport { name: "list".to_owned(), running: true, total: 9, done: 4, ..JobReport::default() };
        let gone = as_it_stands(seen.clone(), &[JobReport { name: "other".to_owned(), ..JobReport::default() }]);
        assert_eq!((gone.running, gone.stopped, gone.done), (false, true, 4));
        let ended = JobReport { running: false, done: 9, ..seen.clone() };
        assert_eq!(as_it_stands(seen, std::slice::from_ref(&ended)), ended);
        assert_eq!(as_it_stands(ended.clone(), &[]), ended, "it had ended before");
    }

    #[test]
    fn many_urls_are_asked_for_in_several_questions() {
        let text: String = (0..20_000).map(|n| format!(" http://a.example/{n}/{}\n# no\n\n", "x".repeat(100))).collect();
        let batches = batches(&text);
        assert_eq!((batches.iter().map(Vec::len).sum::<usize>(), batches.len()), (20_000, 3));
        assert!(batches.iter().all(|batch| serde_json::to_string(batch).expect("text").len() < 1 << 20));
        assert!(super::batches("# nothing\n").is_empty());
    }
}
