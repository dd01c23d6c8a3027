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
                    mixed, and about growth, beside the bare server only: log-on, routes-1000, connections-10, connections-5000,
                    spread-1m, cores-2)
  --server NAME     only this one; may be repeated (bare-hyper, larder, nginx, haproxy, varnish)
  --rounds N        rounds of each scenario, 1 to 25; the median is told (default 5)
  --seconds N       how long one server is loaded in one round, 1 to 60 (default 4)
  --profile NAME    cargo profile to build (default release)
  --out FILE        where the table goes (default target/bench/report.md)
  --gate            instead of all that: count the instructions and the writes of a hit, a miss and a hit over HTTP/2, and fail where one is
                    3 % above the figure in benches/gate.txt; with --record, write the figures there";

/// The options of the command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) scenarios: Vec<Scenario>,
    pub(super) servers: Vec<Kind>,
    pub(super) rounds: u32,
    pub(super) run: Duration,
    pub(super) profile: String,
    pub(super) out: PathBuf,
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
        };
        let (mut gate, mut record) = (false, false);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            if matches!(argument.as_str(), "--help" | "-h") {
                return Ok(Parsed::Help);
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
                _ => return Err(format!("unknown argument {argument}; see cargo xtask bench --help").into()),
            }
        }
        if gate {
            return Ok(Parsed::Gate { profile: options.profile, record });
        }
        if record {
            return Err("--record goes with --gate".into());
        }
        if options.scenarios.is_empty() {
            options.scenarios = Scenario::ALL.to_vec();
        }
        if options.servers.is_empty() {
            options.servers = Kind::ALL.to_vec();
        }
        Ok(Parsed::Run(options))
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
    fn load_is_bounded_and_mistakes_are_told() {
        for line in ["--rounds 26", "--seconds 0", "--scenario hits", "--server apache", "--rounds", "--fast yes"] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert_eq!(parse("--help").unwrap(), Parsed::Help);
        assert!(parse("--record").is_err());
        assert_eq!(parse("--gate --record").unwrap(), Parsed::Gate { profile: "release".to_owned(), record: true });
    }
}
