//! Larder, an HTTP reverse-proxy response cache: configuration, routing, upstream client, listeners, admin, telemetry, command line.

use std::process::ExitCode;

pub mod forward;
pub mod problem;
pub mod server;
pub mod upstream;

/// Runs the command line.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
