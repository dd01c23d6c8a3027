//! `larder-soak [--minutes N] [--seed N]`: the soak for as long as it is told, with its report on standard output. `cargo xtask soak` builds what it needs.

use std::process::ExitCode;
use std::time::Duration;

use larder_testkit::{Error, Result};
use larder_tests::soak::{Length, Options, run};

const USAGE: &str = "usage: larder-soak [--minutes N] [--seed N]";

#[tokio::main]
async fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("larder-soak: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(options).await {
        Ok(report) => {
            println!("{report}");
            if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("larder-soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let (mut minutes, mut seed) = (2.0, 1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        let wrong = || Error::new(format!("{argument} {value}: a number is needed"));
        match argument.as_str() {
            "--minutes" => minutes = value.parse().ok().filter(|minutes| *minutes > 0.0 && *minutes < 1e5).ok_or_else(wrong)?,
            "--seed" => seed = value.parse().map_err(|_| wrong())?,
            _ => return Err(Error::new(format!("{argument} is not known"))),
        }
    }
    Ok(Options { length: Length::Time(Duration::from_secs_f64(minutes * 60.0)), seed, defect: None })
}
