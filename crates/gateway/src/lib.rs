//! Larder, an HTTP reverse-proxy response cache: what lies between listener and cache layer, and the process around it.
//!
//! ```text
//! larder_server --> proxy::PublicHandler --> routing --> larder_tower::CacheService --> larder_upstream
//!                        |                                        ^
//!                        +--> telemetry        purge, admin ------+
//! ```

mod acme;
mod active;
pub mod admin;
mod alerts;
mod auth;
mod checks;
pub mod cli;
pub mod demo;
mod disk;
mod doctor;
mod explain;
mod exports;
mod figures;
mod guards;
mod hints;
mod https;
mod inspect;
mod jobs;
mod limits;
mod listeners;
mod path_matcher;
mod process;
mod proxy;
mod purge;
mod redis;
mod reloads;
mod replicas;
mod routing;
mod scrape;
mod simulate;
mod spending;
mod state_files;
mod stats;
mod trials;
mod upstreams;
mod verify;
mod warm;
mod write_rules;

use std::process::ExitCode;

use clap::Parser;
use larder_message::{client, http1, path_reading, problem};
use {larder_config as config, larder_server as server, larder_telemetry as telemetry, larder_upstream as upstream};

/// Runs the command line.
pub fn main() -> ExitCode {
    match cli::Cli::parse().command {
        cli::Command::Check(check) => check.run(),
        cli::Command::Serve(serve) => process::serve(&serve),
        cli::Command::Demo(demo) => process::demo(&demo),
        cli::Command::Purge(purge) => purge.run(),
        cli::Command::Warm(warm) => warm.run(),
        cli::Command::Explain(explain) => explain.run(),
        cli::Command::Keys(keys) => keys.run(),
        cli::Command::Show(show) => show.run(),
        cli::Command::Limits(limits) => limits.run(),
        cli::Command::Tail(tail) => tail.run(),
        cli::Command::Top(top) => top.run(),
        cli::Command::Simulate(simulate) => simulate.run(),
        cli::Command::Stats(stats) => stats.run(),
        cli::Command::Test(test) => test.run(),
        cli::Command::Verify(verify) => verify.run(),
        cli::Command::Doctor(doctor) => doctor.run(),
        cli::Command::Completions(completions) => completions.run(),
        cli::Command::Man(man) => man.run(),
        cli::Command::Schema(schema) => schema.run(),
        cli::Command::ExplainReason(explain) => explain.run(),
        cli::Command::Import(import) => import.run(),
        cli::Command::Init(init) => init.run(),
        cli::Command::Ready(ready) => ready.run(),
    }
}

/// The book's Rust, as a test of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/rust-service.md")]
struct RustService;
