//! The Markdown table: medians with their spread, and ratios to the bare server.

use std::fmt;

use super::scenario::Scenario;
use super::servers::Kind;

/// The figures of one round of one server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Figures {
    Load {
        per_second: f64,
        /// CPU time a request, in microseconds.
        cpu_micros: f64,
    },
    Stampede {
        origin_requests: u64,
        /// When the last client had its answer, in times of the origin's.
        times_origin: f64,
    },
    /// 99 of 100 hits took this long at most, in milliseconds.
    Latency { alone: f64, among_misses: f64 },
    Memory {
        /// Bytes an entry.
        over_payload: f64,
    },
}

/// All rounds of one scenario.
#[derive(Debug)]
pub(super) struct Section {
    scenario: Scenario,
    rows: Vec<(Kind, Vec<Figures>)>,
}

impl Section {
    pub(super) fn new(scenario: Scenario) -> Self {
        Self { scenario, rows: Vec::new() }
    }

    pub(super) fn add(&mut self, kind: Kind, figures: Figures) {
        match self.rows.iter_mut().find(|(found, _)| *found == kind) {
            Some((_, rounds)) => rounds.push(figures),
            None => self.rows.push((kind, vec![figures])),
        }
    }

    /// The median CPU time a request of the bare server.
    fn bare(&self) -> Option<f64> {
        let (_, rounds) = self.rows.iter().find(|(kind, _)| *kind == Kind::BareHyper)?;
        Some(Spread::of(rounds.iter().map(Figures::main)).median)
    }
}

impl Figures {
    /// The figure that is compared.
    fn main(&self) -> f64 {
        match self {
            Self::Load { cpu_micros, .. } => *cpu_micros,
            Self::Stampede { times_origin, .. } => *times_origin,
            Self::Memory { over_payload } => *over_payload,
            Self::Latency { among_misses, .. } => *among_misses,
        }
    }

    /// The figure that tells more about it.
    fn beside(&self) -> f64 {
        match self {
            Self::Load { per_second, .. } => *per_second,
            Self::Stampede { origin_requests, .. } => *origin_requests as f64,
            Self::Memory { .. } => 0.0,
            Self::Latency { alone, .. } => *alone,
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", self.scenario.title())?;
        let header = match self.scenario {
            Scenario::Stampede => ["origin requests (median)", "last answer, in times of the origin's (median, least to most)"].as_slice(),
            Scenario::Memory => &["bytes an entry over its payload"],
            Scenario::Mixed => &["p99 of hits among misses, ms (median, least to most)", "p99 of hits alone, ms (median)", "ratio"],
            _ => &["CPU µs a request (median, least to most)", "of bare hyper", "requests/s (median)"],
        };
        writeln!(f, "| server | {} |\n|---|{}", header.join(" | "), "---:|".repeat(header.len()))?;
        for (kind, rounds) in &self.rows {
            let (main, beside) = (Spread::of(rounds.iter().map(Figures::main)), Spread::of(rounds.iter().map(Figures::beside)));
            let name = kind.name();
            match self.scenario {
                Scenario::Stampede => writeln!(f, "| {name} | {:.0} | {main} |", beside.median)?,
                Scenario::Memory => writeln!(f, "| {name} | {:.0} |", main.median)?,
                Scenario::Mixed => writeln!(f, "| {name} | {main} | {:.2} | {:.2} |", beside.median, main.median / beside.median)?,
                _ => {
                    let ratio = self.bare().map_or_else(|| "–".to_owned(), |bare| format!("{:.2}", main.median / bare));
                    writeln!(f, "| {name} | {main} | {ratio} | {:.0} |", beside.median)?;
                }
            }
        }
        Ok(())
    }
}

/// The middle of some figures, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// All zero for no figures.
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (sorted.first().copied(), sorted.last().copied()) else {
            return Self { median: 0.0, min: 0.0, max: 0.0 };
        };
        let median = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
        Self { median, min, max }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2} to {:.2})", self.median, self.min, self.max)
    }
}

/// Everything.
#[derive(Debug)]
pub(super) struct Report {
    machine: Vec<String>,
    absent: Vec<&'static str>,
    sections: Vec<Section>,
}

impl Report {
    pub(super) fn new(machine: Vec<String>, absent: &[Kind]) -> Self {
        Self { machine, absent: absent.iter().map(|kind| kind.name()).collect(), sections: Vec::new() }
    }

    pub(super) fn add(&mut self, section: Section) {
        self.sections.push(section);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.machine {
            writeln!(f, "- {line}")?;
        }
        if !self.absent.is_empty() {
            writeln!(f, "- not installed, so not measured: {}", self.absent.join(", "))?;
        }
        self.sections.iter().try_for_each(|section| write!(f, "\n{section}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_medians_and_ratios() {
        let mut section = Section::new(Scenario::Hit1k);
        for (bare, larder) in [(10.0, 11.0), (30.0, 12.0), (20.0, 10.0)] {
            section.add(Kind::BareHyper, Figures::Load { per_second: 90_000.0, cpu_micros: bare });
            section.add(Kind::Larder, Figures::Load { per_second: 80_000.0, cpu_micros: larder });
        }
        let mut report = Report::new(vec!["CPU: test".to_owned()], &[Kind::Varnish]);
        report.add(section);
        assert_eq!(
            report.to_string(),
            "- CPU: test\n- not installed, so not measured: varnish\n\n### Hot hit, 1 KiB\n\n\
             | server | CPU µs a request (median, least to most) | of bare hyper | requests/s (median) |\n|---|---:|---:|---:|\n\
             | bare-hyper | 20.00 (10.00 to 30.00) | 1.00 | 90000 |\n| larder | 11.00 (10.00 to 12.00) | 0.55 | 80000 |\n"
        );
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(Spread::of([4.0, 1.0].into_iter()), Spread { median: 2.5, min: 1.0, max: 4.0 });
    }
}
