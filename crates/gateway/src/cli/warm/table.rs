//! How jobs have ended, as a table.

use crate::cli::paper::Paper;
use crate::jobs::JobReport;

pub(super) fn table(jobs: &[JobReport]) -> String {
    let mut paper = Paper::for_stdout();
    write_jobs(&mut paper, jobs);
    paper.text()
}

fn write_jobs(paper: &mut Paper, jobs: &[JobReport]) {
    let is_dry = jobs.iter().any(|job| job.dry);
    let row = |job: &JobReport| {
        let mut numbers = vec![job.done, job.total, job.hits];
        numbers.extend(if is_dry { vec![job.left] } else { vec![job.stored, job.not_stored] });
        numbers.push(job.failed);
        let reasons: Vec<String> = job.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let state = match (job.running, job.stopped) {
            (true, _) if job.waiting => "waits",
            (true, _) => "runs",
            (false, true) => "stopped",
            (false, false) => "",
        };
        let numbers = numbers.iter().map(u64::to_string);
        std::iter::once(job.name.clone()).chain(numbers).chain([state.to_owned(), reasons.join(", ")]).collect::<Vec<String>>()
    };
    let rows: Vec<Vec<String>> = jobs.iter().map(row).collect();
    let heads: &[&str] = match is_dry {
        true => &["job", "done", "of", "hits", "to fetch", "failed", "", "why"],
        false => &["job", "done", "of", "hits", "stored", "not stored", "failed", "", "why not"],
    };
    paper.table(heads, &rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(job: JobReport) -> String {
        let mut paper = Paper::plain();
        write_jobs(&mut paper, &[job]);
        paper.text()
    }

    #[test]
    fn each_job_has_a_row_with_what_was_not_stored() {
        let reasons = [("response-no-store".to_owned(), 2), ("server-error".to_owned(), 1)].into();
        let job =
            JobReport { name: "listings".to_owned(), total: 9, done: 9, hits: 1, stored: 5, failed: 1, reasons, ..JobReport::default() };
        let text = text(job);
        assert!(text.contains("listings") && text.contains("2 response-no-store, 1 server-error"), "{text}");
    }

    #[test]
    fn a_dry_run_says_what_would_be_fetched() {
        let job = JobReport { name: "listings".to_owned(), dry: true, total: 9, done: 9, hits: 2, left: 7, ..JobReport::default() };
        let text = text(job);
        assert!(text.contains("to fetch") && text.contains('7') && !text.contains("stored"), "{text}");
    }
}
