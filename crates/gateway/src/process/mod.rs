//! The process around the proxy: from the command line to listeners and runtime, signals, reloads, what `/metrics` reads, the end.

mod expiry;
mod inherited;
mod keeping;
mod kept_files;
mod moments;
mod notify;
mod quota_file;
mod reload;
mod report;
mod run;
mod source;
mod spending_file;
mod succession;

pub(crate) use run::{demo, serve};
