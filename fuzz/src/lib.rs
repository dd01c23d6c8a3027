//! The bodies of the fuzz targets, one file for each crate that reads bytes from outside.
//!
//! The same functions run in the ordinary tests of each crate (`tests/fuzz_smoke.rs`, by way of `smoke.rs`) over the corpus and over random
//! input, so that they are exercised where no fuzzer is installed.

pub mod auth;
pub mod config;
pub mod contents;
pub mod disk;
pub mod http1;
pub mod redis;
pub mod semantics;
pub mod server;
pub mod simulate;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod upstream;

/// One target: its name, which is also its corpus's folder, and what it does.
pub type FuzzTarget = (&'static str, fn(&[u8]));
