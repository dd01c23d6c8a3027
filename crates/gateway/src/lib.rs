//! Larder, an HTTP reverse-proxy response cache: configuration, routing, upstream client, listeners, admin, telemetry, command line.

pub mod admin;
mod authority;
pub mod cli;
pub mod config;
pub mod demo;
pub mod forward;
mod gateway;
mod http1;
mod live;
mod path_matcher;
mod path_reading;
pub mod problem;
mod purge;
mod redis;
mod reload;
mod request_limit;
mod route_table;
mod routing;
mod run;
mod scrape;
pub mod server;
mod tagging;
pub mod telemetry;
pub mod upstream;

use std::process::ExitCode;

use clap::Parser;

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
