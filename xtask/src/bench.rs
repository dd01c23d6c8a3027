//! `cargo xtask bench`: loads the release binary beside other caches and beside a bare hyper server, and writes a Markdown table.
//!
//! The figure that holds on a noisy machine is CPU time a request: user and system time of the server's processes over a run, divided by the
//! requests answered in it. The server has a core to itself and the load (with the origin) another; rounds go around the servers, so that a
//! slow minute hits them all; what is told is the median with the spread. Only loopback is used, and nothing is installed.

mod client;
mod gate;
mod h2_client;
mod load;
mod machine;
mod measure;
mod open_loop;
mod options;
mod process;
mod ratios;
mod report;
mod requests;
mod scenario;
mod servers;
mod tls;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use options::{Options, Protocol};
use ratios::Ratios;
use report::Report;
use scenario::Scenario;
use servers::{Folders, Kind};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Runs `cargo xtask bench` with the arguments behind `bench`.
///
/// # Errors
/// If an argument is unknown, a tool is missing, or a server does not start or answers wrongly.
pub(crate) fn run(arguments: impl IntoIterator<Item = String>) -> Result<()> {
    let options = match Options::parse(arguments)? {
        options::Parsed::Run(options) => options,
        options::Parsed::Help => {
            println!("{}", options::HELP);
            return Ok(());
        }
        options::Parsed::Gate { profile, record } => {
            tool("valgrind", "valgrind")?;
            let folders = folders(&profile)?;
            return gate::run(&folders, &profile, record);
        }
    };
    require_tools(&options)?;
    let ratios_file = Path::new(ratios::FILE);
    let recorded = Ratios::read(ratios_file)?;
    let folders = folders(&options.profile)?;
    let (servers, absent): (Vec<Kind>, Vec<Kind>) = options.servers.iter().partition(|server| server.is_installed());
    let mut report = Report::new(machine::describe(&servers, &options), &absent, recorded);
    for scenario in &options.scenarios {
        eprintln!("bench: {}", scenario.title());
        report.add(measure::scenario(*scenario, &servers, &options, &folders)?);
    }
    let text = report.to_string();
    std::fs::write(&options.out, &text)?;
    println!("{text}");
    eprintln!("bench: written to {}", options.out.display());
    if options.record {
        std::fs::write(ratios_file, report.ratios().to_string())?;
    }
    Ok(())
}

/// The built binaries, and a folder to work in.
fn folders(profile: &str) -> Result<Folders> {
    let folders = Folders { binaries: build(profile)?, work: PathBuf::from("target/bench") };
    std::fs::create_dir_all(&folders.work)?;
    Ok(folders)
}

fn tool(tool: &str, package: &str) -> Result<()> {
    if process::is_on_path(tool) { Ok(()) } else { Err(format!("{tool} is not installed; on Debian: apt-get install {package}").into()) }
}

fn require_tools(options: &Options) -> Result<()> {
    let mut tools = vec![("taskset", "util-linux")];
    if options.scenarios.iter().any(|scenario| scenario.has_tls()) {
        tools.push(("openssl", "openssl"));
    }
    if options.open_loop.is_none() {
        let by_h2load = |scenario: &Scenario| scenario.protocol(options.protocol) == Protocol::Http2 || scenario.needs_h2load();
        if options.scenarios.iter().any(by_h2load) {
            tools.push(("h2load", "nghttp2-client"));
        }
        if !options.scenarios.iter().all(by_h2load) {
            tools.push(("wrk", "wrk"));
        }
    }
    tools.into_iter().try_for_each(|(name, package)| tool(name, package))
}

/// Builds the servers of this workspace; returns the directory they are in.
fn build(profile: &str) -> Result<PathBuf> {
    // As the tests are built, so that whichever comes second finds it built.
    let of_tests: &[&str] = &["--workspace", "--all-targets"];
    let packages = if profile == "dev" { of_tests } else { &["-p", "larder", "-p", "larder-benches", "--bins"] };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    if !Command::new(cargo).args(["build", "--profile", profile]).args(packages).status()?.success() {
        return Err("the build failed".into());
    }
    Ok(PathBuf::from("target").join(if profile == "dev" { "debug" } else { profile }))
}
