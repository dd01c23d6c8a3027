//! The process around the proxy: from the command line to listeners and runtime, signals, reloads, what `/metrics` reads, the end.

mod expiry;
mod reload;
mod report;
mod run;
mod scrape;
mod source;

pub(crate) use run::{demo, serve};
