//! Larder, an HTTP reverse-proxy response cache: configuration, routing, upstream client, listeners, admin, telemetry, command line.

pub mod cli;
pub mod config;
pub mod demo;
pub mod forward;
pub mod problem;
mod routing;
mod tagging;
pub mod telemetry;

use std::process::ExitCode;

use clap::Parser;

/// Runs the command line.
pub fn main() -> ExitCode {
    match cli::Cli::parse().command {
        cli::Command::Check(check) => check.run(),
        cli::Command::Serve(_) | cli::Command::Demo(_) => ExitCode::SUCCESS,
    }
}
