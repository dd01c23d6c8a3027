//! The arguments of `cargo xtask bench`.

use std::path::PathBuf;
use std::time::Duration;

use super::Result;
use super::scenario::Scenario;
use super::servers::Kind;

pub(super) const HELP: &str = "\
Loads Larder beside other caches, on loopback, and writes a Markdown table.

Usage: cargo xtask bench [OPTIONS]

  --scenario NAME   only this one; may be repeated (hit-1k, hit-10k, hit-1m, spread, miss, not-modified, http2, stampede, memory,
                    mixed, pass, upload, and beside the bare server only: identity, vary, range, post-2k, log-text, log-json, tail, tail-all,
                    routes-1000, limits-misses, limits-requests, miss-64k, miss-64k-guarded, connections-10, connections-5000, spread-1m, cores-2;
                    without the bare server: tls, tls-http2, handshake, resumption, idle, idle-tls; beside nginx and ATS: disk-1k, disk-100k,
                    disk-10m; Larder alone: disk-busy, warming, expiry, expiry-ahead)
  --server NAME     only this one; may be repeated (bare-hyper, larder, nginx, haproxy, varnish, ats)
  --rounds N        rounds of each scenario, 1 to 25; the median is told (default 5)
  --seconds N       how long one server is loaded in one round, 1 to 60 (default 4)
  --quick           hit-1k, miss, http2, tail and tail-all only, three rounds of one second each, unless another option says otherwise
  --profile NAME    cargo profile to build (default release)
  --out FILE        where the table goes (default target/bench/report.md)
  --protocol NAME   h1 (default), or h2 for the scenarios with one target: HTTP/2 in cleartext, 8 connections of 8 streams
  --open-loop RATE  so many requests a second, 1 to 100000, over HTTP/1.1: tells latencies from when a request was due, for the scenarios
                    with one target, miss, spread, warming and expiry
  --record          write the ratios to bare hyper to benches/ratios.txt, which later runs show beside their own
  --gate            instead of all that: count the instructions and the writes of a hit, a miss and a hit over HTTP/2, and fail where one is
                    3 % above the figure in benches/gate.txt (of --profile dev: gate-dev.txt); with --record, write it there";

/// The options of the command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) scenarios: Vec<Scenario>,
    pub(super) servers: Vec<Kind>,
    pub(super) rounds: u32,
    pub(super) run: Duration,
    pub(super) profile: String,
    pub(super) out: PathBuf,
    pub(super) protocol: Protocol,
    /// Requests a second of an open loop; `None`: every connection sends the next request when it has its answer.
    pub(super) open_loop: Option<u32>,
    /// Whether the ratios are written down.
    pub(super) record: bool,
}

/// What the load speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    /// In cleartext, with prior knowledge.
    Http2,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Run(Options),
    Gate { profile: String, record: bool },
    Help,
}

impl Options {
    pub(super) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Parsed> {
        let mut options = Self {
            scenarios: Vec::new(),
            servers: Vec::new(),
            rounds: 5,
            run: Duration::from_secs(4),
            profile: "release".to_owned(),
            out: PathBuf::from("target/bench/report.md"),
            protocol: Protocol::Http1,
            open_loop: None,
            record: false,
        };
        let (mut gate, mut record) = (false, false);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            if matches!(argument.as_str(), "--help" | "-h") {
                return Ok(Parsed::Help);
            }
            if argument == "--quick" {
                options.make_quick();
                continue;
            }
            if matches!(argument.as_str(), "--gate" | "--record") {
                (gate, record) = (gate || argument == "--gate", record || argument == "--record");
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a value; see cargo xtask bench --help"))?;
            match argument.as_str() {
                "--scenario" => options.scenarios.push(Scenario::named(&value)?),
                "--server" => options.servers.push(Kind::named(&value)?),
                "--rounds" => options.rounds = within(&argument, &value, 1, 25)?,
                "--seconds" => options.run = Duration::from_secs(within(&argument, &value, 1, 60)?.into()),
                "--profile" => options.profile = value,
                "--out" => options.out = value.into(),
                "--protocol" => options.protocol = Protocol::named(&value)?,
                "--open-loop" => options.open_loop = Some(within(&argument, &value, 1, 100_000)?),
                _ => return Err(format!("unknown argument {argument}; see cargo xtask bench --help").into()),
            }
        }
        if gate {
            return Ok(Parsed::Gate { profile: options.profile, record });
        }
        options.record = record;
        options.choose_scenarios()?;
        if options.servers.is_empty() {
            options.servers = Kind::ALL.to_vec();
        }
        Ok(Parsed::Run(options))
    }

    /// A look at whether a change has made anything dearer.
    fn make_quick(&mut self) {
        self.scenarios = vec![Scenario::Hit1k, Scenario::Miss, Scenario::Http2, Scenario::TailFiltered, Scenario::TailAll];
        (self.rounds, self.run) = (3, Duration::from_secs(1));
    }

    /// All that can be measured so where none is named; an error for one that cannot.
    fn choose_scenarios(&mut self) -> Result<()> {
        let (protocol, open_loop) = (self.protocol, self.open_loop.is_some());
        if open_loop && protocol == Protocol::Http2 {
            return Err("--open-loop measures HTTP/1.1 only".into());
        }
        let fits = |scenario: &Scenario| {
            (protocol == Protocol::Http1 || scenario.has_one_target()) && (!open_loop || scenario.has_numbered_targets())
        };
        if self.scenarios.is_empty() {
            self.scenarios = Scenario::ALL.into_iter().filter(fits).collect();
        }
        match self.scenarios.iter().find(|scenario| !fits(scenario)) {
            Some(scenario) => Err(format!("{} cannot be measured that way; see cargo xtask bench --help", scenario.name()).into()),
            None => Ok(()),
        }
    }
}

impl Protocol {
    fn named(name: &str) -> Result<Self> {
        match name {
            "h1" => Ok(Self::Http1),
            "h2" => Ok(Self::Http2),
            _ => Err(format!("no protocol {name}; there are h1, h2").into()),
        }
    }
}

fn within(argument: &str, value: &str, min: u32, max: u32) -> Result<u32> {
    match value.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("{argument} takes a number from {min} to {max}, not {value}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Parsed> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn without_arguments_everything_is_measured() {
        let Ok(Parsed::Run(options)) = parse("") else { panic!("no options") };
        assert_eq!((options.scenarios, options.servers), (Scenario::ALL.to_vec(), Kind::ALL.to_vec()));
    }

    #[test]
    fn the_named_scenarios_are_measured() {
        let Ok(Parsed::Run(options)) = parse("--scenario miss --server larder --rounds 2 --seconds 1") else { panic!("no options") };
        assert_eq!((options.scenarios, options.servers), (vec![Scenario::Miss], vec![Kind::Larder]));
        assert_eq!((options.rounds, options.run), (2, Duration::from_secs(1)));
    }

    #[test]
    fn a_quick_run_has_few_scenarios_and_short_rounds() {
        let Ok(Parsed::Run(options)) = parse("--quick --rounds 2") else { panic!("no options") };
        assert_eq!(options.scenarios[..3], [Scenario::Hit1k, Scenario::Miss, Scenario::Http2]);
        assert_eq!(options.scenarios.iter().filter(|scenario| scenario.tail().is_some()).count(), 2, "what looking on costs");
        assert_eq!((options.rounds, options.run), (2, Duration::from_secs(1)));
    }

    #[test]
    fn protocols_and_open_loops_go_with_the_scenarios_that_they_can_measure() {
        let Ok(Parsed::Run(options)) = parse("--protocol h2") else { panic!("no options") };
        assert!(options.scenarios.contains(&Scenario::Hit1m) && !options.scenarios.contains(&Scenario::Miss));
        let Ok(Parsed::Run(options)) = parse("--open-loop 4000 --scenario miss") else { panic!("no options") };
        assert_eq!((options.open_loop, options.scenarios), (Some(4000), vec![Scenario::Miss]));
        for line in [
            "--protocol h2 --scenario miss",
            "--protocol h3",
            "--open-loop 0",
            "--open-loop 9 --scenario upload",
            "--open-loop 9 --scenario mixed",
            "--open-loop 9 --protocol h2",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn load_is_bounded_and_mistakes_are_told() {
        for line in ["--rounds 26", "--seconds 0", "--scenario hits", "--server apache", "--rounds", "--fast yes"] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert_eq!(parse("--help").unwrap(), Parsed::Help);
        let Ok(Parsed::Run(options)) = parse("--record") else { panic!("no options") };
        assert!(options.record);
        assert_eq!(parse("--gate --record").unwrap(), Parsed::Gate { profile: "release".to_owned(), record: true });
    }
}
