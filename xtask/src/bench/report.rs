//! The Markdown table: medians with their spread, and ratios to the bare server.

use std::fmt;

use super::options::Protocol;
use super::ratios::Ratios;
use super::scenario::Scenario;
use super::servers::Kind;

/// The figures of one round of one server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Figures {
    Load {
        per_second: f64,
        /// CPU time a request, in microseconds.
        cpu_micros: f64,
        /// Resident memory after the round, in bytes.
        resident: u64,
    },
    Stampede {
        origin_requests: u64,
        /// When the last client had its answer, in times of the origin's.
        times_origin: f64,
    },
    /// 99 of 100 hits took this long at most, in milliseconds.
    Latency { alone: f64, disturbed: f64 },
    /// Latencies at a fixed rate, in milliseconds from when requests were due.
    OpenLoop { p50: f64, p99: f64, p999: f64 },
    Memory {
        /// Bytes an entry.
        over_payload: f64,
    },
    /// Bytes a quiet connection.
    Idle { each: f64 },
}

/// All rounds of one scenario.
#[derive(Debug)]
pub(super) struct Section {
    scenario: Scenario,
    protocol: Protocol,
    rows: Vec<(Kind, Vec<Figures>)>,
}

impl Section {
    pub(super) fn new(scenario: Scenario, protocol: Protocol) -> Self {
        Self { scenario, protocol, rows: Vec::new() }
    }

    pub(super) fn add(&mut self, kind: Kind, figures: Figures) {
        match self.rows.iter_mut().find(|(found, _)| *found == kind) {
            Some((_, rounds)) => rounds.push(figures),
            None => self.rows.push((kind, vec![figures])),
        }
    }

    /// Its name among recorded ratios.
    fn label(&self) -> String {
        match self.protocol {
            Protocol::Http2 => format!("{}/h2", self.scenario.name()),
            Protocol::Http1 => self.scenario.name().to_owned(),
        }
    }

    /// The median CPU time a request of each server, of the bare server's.
    fn ratios(&self) -> impl Iterator<Item = (Kind, f64)> {
        let cpu = |rounds: &[Figures]| {
            let taken = rounds.iter().filter_map(|figures| match figures {
                Figures::Load { cpu_micros, .. } => Some(*cpu_micros),
                _ => None,
            });
            Spread::of(taken).median
        };
        let bare = self.rows.iter().find(|(kind, _)| *kind == Kind::BareHyper).map(|(_, rounds)| cpu(rounds)).filter(|bare| *bare > 0.0);
        self.rows.iter().filter_map(move |(kind, rounds)| Some((*kind, cpu(rounds) / bare?)))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, recorded: &Ratios) -> fmt::Result {
        let protocol = if self.protocol == Protocol::Http2 && self.scenario != Scenario::Http2 { ", over HTTP/2" } else { "" };
        writeln!(f, "### {}{protocol}\n", self.scenario.title())?;
        let header = self.rows.first().and_then(|(_, rounds)| rounds.first()).map_or([].as_slice(), |figures| figures.header());
        writeln!(f, "| server | {} |\n|---|{}", header.join(" | "), "---:|".repeat(header.len()))?;
        for (kind, rounds) in &self.rows {
            let spread = |figure: fn(&Figures) -> f64| Spread::of(rounds.iter().map(figure));
            let (main, beside) = (spread(Figures::main), spread(Figures::beside).median);
            let cells = match rounds[0] {
                Figures::Stampede { .. } => format!("{beside:.0} | {main}"),
                Figures::Memory { .. } | Figures::Idle { .. } => format!("{:.0}", main.median),
                Figures::Latency { .. } => format!("{main} | {beside:.2} | {:.2}", main.median / beside),
                Figures::OpenLoop { .. } => format!("{main} | {beside:.2} | {:.2}", spread(Figures::extreme).median),
                Figures::Load { .. } => {
                    let ratio = self.ratios().find(|(found, _)| found == kind).map(|(_, ratio)| ratio);
                    let [ratio, before] = [ratio, recorded.get(&self.label(), kind.name())]
                        .map(|ratio| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")));
                    format!("{main} | {ratio} | {before} | {beside:.0} | {:.1}", spread(Figures::extreme).median)
                }
            };
            writeln!(f, "| {} | {cells} |", kind.name())?;
        }
        Ok(())
    }
}

impl Figures {
    fn header(&self) -> &'static [&'static str] {
        match self {
            Self::Stampede { .. } => &["origin requests (median)", "last answer, in times of the origin's (median, least to most)"],
            Self::Memory { .. } => &["bytes an entry over its payload"],
            Self::Idle { .. } => &["bytes a connection"],
            Self::Latency { .. } => &["p99 beside what disturbs, ms (median, least to most)", "p99 alone, ms (median)", "ratio"],
            Self::OpenLoop { .. } => &["p99, ms (median, least to most)", "p50, ms (median)", "p99.9, ms (median)"],
            Self::Load { .. } => {
                &["CPU µs a request (median, least to most)", "of bare hyper", "before", "requests/s (median)", "resident, MiB (median)"]
            }
        }
    }

    /// The figure that is compared.
    fn main(&self) -> f64 {
        match self {
            Self::Load { cpu_micros, .. } => *cpu_micros,
            Self::Stampede { times_origin, .. } => *times_origin,
            Self::Memory { over_payload } => *over_payload,
            Self::Idle { each } => *each,
            Self::Latency { disturbed, .. } => *disturbed,
            Self::OpenLoop { p99, .. } => *p99,
        }
    }

    /// The figure that tells more about it.
    fn beside(&self) -> f64 {
        match self {
            Self::Load { per_second, .. } => *per_second,
            Self::Stampede { origin_requests, .. } => *origin_requests as f64,
            Self::Memory { .. } | Self::Idle { .. } => 0.0,
            Self::Latency { alone, .. } => *alone,
            Self::OpenLoop { p50, .. } => *p50,
        }
    }

    /// The third one, where there is one.
    fn extreme(&self) -> f64 {
        match self {
            Self::Load { resident, .. } => *resident as f64 / f64::from(1 << 20),
            Self::OpenLoop { p999, .. } => *p999,
            _ => 0.0,
        }
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
    /// The ratios of an earlier run.
    recorded: Ratios,
}

impl Report {
    pub(super) fn new(machine: Vec<String>, absent: &[Kind], recorded: Ratios) -> Self {
        Self { machine, absent: absent.iter().map(|kind| kind.name()).collect(), sections: Vec::new(), recorded }
    }

    /// The recorded ratios, with this run's in their places.
    pub(super) fn ratios(&self) -> Ratios {
        let mut ratios = self.recorded.clone();
        for section in &self.sections {
            section.ratios().for_each(|(kind, ratio)| ratios.set(&section.label(), kind.name(), ratio));
        }
        ratios
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
        self.sections.iter().try_for_each(|section| {
            writeln!(f)?;
            section.write(f, &self.recorded)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_medians_and_ratios() {
        let mut section = Section::new(Scenario::Hit1k, Protocol::Http1);
        for (bare, larder) in [(10.0, 11.0), (30.0, 12.0), (20.0, 10.0)] {
            section.add(Kind::BareHyper, Figures::Load { per_second: 90_000.0, cpu_micros: bare, resident: 3 << 20 });
            section.add(Kind::Larder, Figures::Load { per_second: 80_000.0, cpu_micros: larder, resident: 9 << 19 });
        }
        let mut recorded = Ratios::default();
        recorded.set("hit-1k", "larder", 0.75);
        let mut report = Report::new(vec!["CPU: test".to_owned()], &[Kind::Varnish], recorded);
        report.add(section);
        assert_eq!(
            report.to_string(),
            "- CPU: test\n- not installed, so not measured: varnish\n\n### Hot hit, 1 KiB\n\n\
             | server | CPU µs a request (median, least to most) | of bare hyper | before | requests/s (median) | resident, MiB (median) |\n\
             |---|---:|---:|---:|---:|---:|\n\
             | bare-hyper | 20.00 (10.00 to 30.00) | 1.00 | – | 90000 | 3.0 |\n\
             | larder | 11.00 (10.00 to 12.00) | 0.55 | 0.75 | 80000 | 4.5 |\n"
        );
        assert_eq!(report.ratios().get("hit-1k", "larder"), Some(0.55));
    }

    #[test]
    fn latencies_at_a_fixed_rate_have_columns_of_their_own() {
        let mut section = Section::new(Scenario::Hit1k, Protocol::Http2);
        section.add(Kind::Larder, Figures::OpenLoop { p50: 0.25, p99: 1.5, p999: 4.0 });
        let mut report = Report::new(Vec::new(), &[], Ratios::default());
        report.add(section);
        assert_eq!(
            report.to_string(),
            "\n### Hot hit, 1 KiB, over HTTP/2\n\n| server | p99, ms (median, least to most) | p50, ms (median) | p99.9, ms (median) |\n\
             |---|---:|---:|---:|\n| larder | 1.50 (1.50 to 1.50) | 0.25 | 4.00 |\n"
        );
        assert_eq!(report.ratios(), Ratios::default(), "there is nothing to compare");
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(Spread::of([4.0, 1.0].into_iter()), Spread { median: 2.5, min: 1.0, max: 4.0 });
    }
}
