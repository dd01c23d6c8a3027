//! `larder simulate`.

mod decisions;
mod text;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use decisions::Decisions;
use indicatif::{ProgressBar, ProgressStyle};
use larder_simulate::{Decision, LogFormat, LogRecord, PatternError, Progress, svg};

use super::admin_client::put;
use super::paper::Paper;
use crate::config::{self, Config, Overrides};
use crate::simulate::{AssumedFields, Settings, SimulateError, Simulated, simulate};

/// `larder simulate`
#[derive(Debug, Args)]
pub struct Simulate {
    /// Access logs, packed by gzip or zstd or not; "-" reads standard input
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "config.toml", conflicts_with = "compare")]
    pub config: PathBuf,
    /// Replay two configurations, and say what differs
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    pub compare: Vec<PathBuf>,
    /// Format of the logs: combined, common, vhost_combined, nginx-json, caddy, traefik, haproxy, varnish, alb, cloudfront, cloudflare, larder,
    /// larder-json, or a pattern like nginx's log_format ("$remote_addr …") or Apache's LogFormat ("%h …"); found out unless given
    #[arg(long, value_name = "NAME|PATTERN", value_parser = format)]
    pub format: Option<LogFormat>,
    /// Cache-Control of a route's answers where the log has none, like issue.list=max-age=60, or Vary, like issue.list=vary: accept-language; * is every route. May be given several times
    #[arg(long, value_name = "ROUTE=DIRECTIVES", value_parser = AssumedFields::parse)]
    pub assume: Vec<AssumedFields>,
    /// Ask the origin once a route for what the log does not tell of its answers
    #[arg(long)]
    pub probe: bool,
    /// Host of lines that have none
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Lifetimes by route, from how often answers changed
    #[arg(long)]
    pub advise: bool,
    /// Leave out the hit ratio by memory size
    #[arg(long, conflicts_with_all = ["svg", "sample"])]
    pub no_curve: bool,
    /// Share of the keys from which the hit ratio by memory size is taken, from 0.01 to 1; as the logs are long unless given
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub sample: Option<f64>,
    /// Draw the hit ratio by memory size into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Write what is decided about each request into this file, as lines of JSON with the members of the access log
    #[arg(long, value_name = "FILE", conflicts_with = "compare")]
    pub decisions: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn format(text: &str) -> Result<LogFormat, PatternError> {
    LogFormat::parse(text)
}

/// What a share of the keys may be: from less than one in a hundred, little can be told.
fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok().filter(|share| (0.01..=1.0).contains(share));
    share.ok_or_else(|| "a share of the keys is from 0.01 to 1".to_owned())
}

impl Simulate {
    /// Replays the logs, and prints what came of it.
    pub fn run(&self) -> ExitCode {
        let Some(configs) = self.load() else { return ExitCode::FAILURE };
        let simulated = self.simulated(configs);
        match simulated.map_err(|error| error.to_string()).and_then(|simulated| self.print(&simulated)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    /// The configurations by their names; `None` where one has mistakes, which were printed.
    fn load(&self) -> Option<Vec<(String, Config)>> {
        let files = if self.compare.is_empty() { std::slice::from_ref(&self.config) } else { &self.compare };
        let mut configs = Vec::new();
        for file in files {
            match config::load(file, &Overrides::from_env()) {
                Ok((config, _)) => configs.push((file.display().to_string(), config)),
                Err(report) => {
                    report.print();
                    return None;
                }
            }
        }
        Some(configs)
    }

    fn simulated(&self, configs: Vec<(String, Config)>) -> Result<Simulated, SimulateError> {
        let settings = Settings {
            logs: self.logs.clone(),
            format: self.format.clone(),
            assumed: self.assume.clone(),
            host: self.host.clone(),
            curve: !self.no_curve,
            share: self.sample,
            advise: self.advise,
            probe: self.probe,
        };
        if self.probe && self.logs.iter().any(|log| log.as_os_str() == "-") {
            return Err(SimulateError::Assumed("--probe reads the log twice, which standard input does not allow".to_owned()));
        }
        let progress = Progress::default();
        let bar = self.bar();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut decisions = self.decisions.as_deref().map(Decisions::create).transpose()?;
        let write = |record: &LogRecord, decision: &Decision, route: Option<&str>| {
            if let Some(decisions) = &mut decisions {
                decisions.write(record, decision, route);
            }
        };
        let simulated = runtime.block_on(simulate(configs, &settings, &progress, write, || bar.set_position(progress.bytes())));
        bar.finish_and_clear();
        decisions.map(Decisions::finish).transpose()?;
        simulated
    }

    /// On a terminal, how much of the logs has been read.
    fn bar(&self) -> ProgressBar {
        let total: u64 = self.logs.iter().filter_map(|log| Some(std::fs::metadata(log).ok()?.len())).sum();
        if !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(total);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left") {
            bar.set_style(style);
        }
        bar
    }

    fn print(&self, simulated: &Simulated) -> Result<(), String> {
        if let Some(file) = &self.svg
            && let Some(drawing) = simulated.reports.first().and_then(svg)
        {
            std::fs::write(file, drawing).map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
        }
        let text = match (self.json, &simulated.comparison) {
            (true, Some(comparison)) => format!("{:#}\n", serde_json::json!({ "reports": simulated.reports, "comparison": comparison })),
            (true, None) => format!("{:#}\n", serde_json::json!(simulated.reports.first())),
            (false, comparison) => {
                let mut paper = Paper::for_stdout();
                match comparison {
                    Some(comparison) => text::compared(&mut paper, &simulated.reports, comparison),
                    None => simulated.reports.iter().for_each(|report| text::report(&mut paper, report)),
                }
                paper.text()
            }
        };
        put(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_share_of_the_keys_is_a_hundredth_at_least_and_all_at_most() {
        for (text, taken) in [("0.01", 0.01), ("0.5", 0.5), ("1", 1.0)] {
            assert_eq!(share(text), Ok(taken));
        }
        for text in ["0", "0.009", "1.01", "5", "-1", "nan", "inf", "", "5%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
