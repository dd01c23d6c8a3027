//! The task runner: `cargo xtask TASK`. One file a task; tasks print what they run.

mod bench;
mod deb;
mod image;
mod imports;
mod needs;
mod package;
mod run;
mod soak;
mod test;

use std::error::Error;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  test [FILTER…]    build everything once and run every test, or those whose names contain a filter; installs what these need where it may
  soak …            two replicas under a mix of load and faults for --minutes N, checked all the time
  bench …           the release binary under load, beside a bare server
  deb …             the Debian package, from the release binary or from another one
  image …           the container image as an OCI layout, without a daemon
  imports [CRATE…]  draw which folders and files of a crate, or of each, import which others";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let outcome: Result<(), Box<dyn Error>> = match arguments.next().as_deref() {
        Some("test") => test::run(&arguments.collect::<Vec<_>>()).map_err(Into::into),
        Some("imports") => imports::run(&arguments.collect::<Vec<_>>()).map_err(Into::into),
        Some("soak") => soak::run(&arguments.collect::<Vec<_>>()).map_err(Into::into),
        Some("deb") => deb::run(&arguments.collect::<Vec<_>>()).map_err(Into::into),
        Some("image") => image::run(&arguments.collect::<Vec<_>>()).map_err(Into::into),
        Some("bench") => bench::run(arguments),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("xtask: {sentence}");
            ExitCode::FAILURE
        }
    }
}
