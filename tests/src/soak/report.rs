//! What happened in a run, counted while it lasts and told at its end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::faults::Kind;
use super::judge::{Got, Violation};
use super::subject::Family;
use super::watch::Usages;

/// Counted by all who take part.
#[derive(Debug, Default)]
pub(super) struct Counts {
    answers: Mutex<BTreeMap<(Family, String), u64>>,
    all: AtomicU64,
    writes: AtomicU64,
    purges: AtomicU64,
    everywhere: AtomicU64,
}

impl Counts {
    pub(super) fn answer(&self, family: Family, got: &Got) {
        // What is broken off counts apart: its head may have said anything.
        let result = match (got.complete, got.result.as_str()) {
            (false, _) => "BROKEN OFF",
            (true, "") => "NONE",
            (true, result) => result,
        };
        let mut answers = self.answers.lock().expect("no one panics while counting");
        *answers.entry((family, result.to_owned())).or_default() += 1;
        self.all.fetch_add(1, Ordering::Relaxed);
    }

    /// Answers so far.
    pub(super) fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    pub(super) fn write(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn purge(&self, is_everywhere: bool) {
        self.purges.fetch_add(1, Ordering::Relaxed);
        self.everywhere.fetch_add(u64::from(is_everywhere), Ordering::Relaxed);
    }
}

/// A run that has ended. Displayed it is a page of Markdown.
#[derive(Debug)]
pub struct Report {
    /// What was found, the first first.
    pub violations: Vec<Violation>,
    /// Answers that were judged.
    pub answers: u64,
    results: BTreeMap<(Family, String), u64>,
    writes: u64,
    purges: u64,
    everywhere: u64,
    faults: BTreeMap<Kind, u64>,
    usages: Vec<Usages>,
}

impl Report {
    pub(super) fn new(counts: &Counts, faults: BTreeMap<Kind, u64>, usages: Vec<Usages>, violations: Vec<Violation>) -> Self {
        Self {
            violations,
            answers: counts.all(),
            results: counts.answers.lock().expect("no one panics while counting").clone(),
            writes: counts.writes.load(Ordering::Relaxed),
            purges: counts.purges.load(Ordering::Relaxed),
            everywhere: counts.everywhere.load(Ordering::Relaxed),
            faults,
            usages,
        }
    }

    /// Purges that a replica acknowledged.
    pub fn purges(&self) -> u64 {
        self.purges
    }

    /// Answers with this `X-Cache`, of all families.
    pub fn results(&self, result: &str) -> u64 {
        self.results.iter().filter(|((_, own), _)| own == result).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answers, writes, purges, everywhere, .. } = self;
        writeln!(
            formatter,
            "{answers} answers judged, {writes} writes, {purges} purges ({everywhere} of them acknowledged for all replicas)\n"
        )?;
        writeln!(formatter, "| family | result | answers |\n|---|---|---|")?;
        for ((family, result), count) in &self.results {
            writeln!(formatter, "| {} | {result} | {count} |", family.word())?;
        }
        writeln!(formatter, "\n| what happened | times |\n|---|---|")?;
        for (kind, count) in &self.faults {
            writeln!(formatter, "| {kind:?} | {count} |")?;
        }
        writeln!(formatter, "\n| replica | | at the start | at most | at the end |\n|---|---|---|---|---|")?;
        for (replica, usages) in self.usages.iter().enumerate() {
            let Usages { start, max, end } = usages;
            let mebi = |bytes: usize| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
            for (what, values) in [
                ("resident", [start, max, end].map(|usage| mebi(usage.resident))),
                ("stored", [start, max, end].map(|usage| mebi(usage.stored))),
                ("on its way", [start, max, end].map(|usage| mebi(usage.filling))),
                ("sockets", [start, max, end].map(|usage| usage.sockets.to_string())),
                ("other descriptors", [start, max, end].map(|usage| usage.files.to_string())),
                ("tasks", [start, max, end].map(|usage| usage.tasks.to_string())),
            ] {
                writeln!(formatter, "| {replica} | {what} | {} |", values.join(" | "))?;
            }
        }
        writeln!(formatter)?;
        match self.violations.as_slice() {
            [] => writeln!(formatter, "Every promise was kept."),
            found => found.iter().try_for_each(|violation| writeln!(formatter, "- {violation}")),
        }
    }
}
