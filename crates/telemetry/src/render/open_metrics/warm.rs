//! Jobs that fetch what nobody has asked for yet.

use std::fmt;

use super::families::Families;
use crate::snapshot::WarmSnapshot;

pub(super) fn encode(jobs: &[WarmSnapshot], families: &mut Families<'_, '_>) -> fmt::Result {
    if jobs.is_empty() {
        return Ok(());
    }
    let of = |job: &WarmSnapshot| {
        let name = job.job.clone();
        job.requests.iter().map(move |counted| (name.clone(), counted.label, counted.count)).collect::<Vec<_>>()
    };
    let requests: Vec<_> = jobs.iter().flat_map(of).collect();
    let requests = requests.iter().map(|(job, outcome, count)| ([("job", job.as_str()), ("outcome", *outcome)], *count));
    families.counters("warm_requests", "Requests of jobs that warm, by what became of them.", requests)?;
    let running = jobs.iter().map(|job| ([("job", job.job.as_str())], u64::from(job.is_running)));
    families.gauges("warm_running", "Whether a job that warms runs now.", None, running)
}
