//! Shared parts of the benchmarks: one sample response, and a server loop around a function that answers.
//!
//! `cargo bench -p larder-benches` runs the micro-benchmarks; `cargo xtask bench` loads whole servers side by side, with the binaries
//! `bare_hyper` and `origin` of this crate among them.

pub mod cache;
pub mod sample;
pub mod serve;
