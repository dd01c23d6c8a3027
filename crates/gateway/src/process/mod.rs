//! The process around the proxy: from the command line to listeners and runtime, signals, reloads, what `/metrics` reads, the end.

mod reload;
mod report;
mod run;
mod scrape;

pub(crate) use run::{demo, serve};
