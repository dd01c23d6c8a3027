//! How far jobs are while somebody waits for them: a bar on a terminal, and else a line from time to time.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use larder_tower::clock::monotonic;

use crate::jobs::JobReport;

/// How often there is a line where there is no terminal.
const LINE: Duration = Duration::from_secs(5);

const STYLE: &str = "{bar:30} {pos} of {len}  {per_sec}  {eta} left  {msg}";

pub(super) struct Progress {
    bar: ProgressBar,
    line: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new(0);
        // The template is right, so this is it.
        bar.set_style(ProgressStyle::with_template(STYLE).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, line: monotonic() }
    }

    pub(super) fn show(&mut self, jobs: &[JobReport]) {
        let sum = |of: fn(&JobReport) -> u64| jobs.iter().map(of).sum::<u64>();
        let (done, total) = (sum(|job| job.done), sum(|job| job.total));
        let text = in_words(jobs);
        if !self.bar.is_hidden() {
            self.bar.set_length(total);
            self.bar.set_position(done);
            self.bar.set_message(text);
        } else if monotonic().saturating_duration_since(self.line) >= LINE {
            self.line = monotonic();
            eprintln!("{done} of {total}, {text}");
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn in_words(jobs: &[JobReport]) -> String {
    let sum = |of: fn(&JobReport) -> u64| jobs.iter().map(of).sum::<u64>();
    let (hits, stored, failed) = (sum(|job| job.hits), sum(|job| job.stored), sum(|job| job.failed));
    let waits = if jobs.iter().any(|job| job.waiting) { ", waiting for the origin" } else { "" };
    format!("{hits} hits, {stored} stored, {failed} failed{waits}")
}
