//! Larder, an HTTP reverse-proxy response cache: what lies between listener and cache layer, and the process around it.
//!
//! ```text
//! larder_server --> gateway::PublicHandler --> routing --> larder_tower::CacheService --> larder_upstream
//!                        |                                        ^
//!                        +--> telemetry        purge, admin ------+
//! ```

pub mod admin;
pub mod cli;
pub mod demo;
mod diagnostics_of;
mod gateway;
mod live;
mod path_matcher;
mod purge;
mod redis;
mod reload;
mod request_limit;
mod route_table;
mod routing;
mod run;
mod scrape;
mod tagging;

use std::process::ExitCode;

use clap::Parser;
use larder_message::{forward, http1, path_reading, problem};
use {larder_config as config, larder_server as server, larder_telemetry as telemetry, larder_upstream as upstream};

/// Runs the command line.
pub fn main() -> ExitCode {
    match cli::Cli::parse().command {
        cli::Command::Check(check) => check.run(),
        cli::Command::Serve(serve) => run::serve(&serve),
        cli::Command::Demo(demo) => run::demo(&demo),
        cli::Command::Purge(purge) => purge.run(),
        cli::Command::Ready(ready) => ready.run(),
    }
}
