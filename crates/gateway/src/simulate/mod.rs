//! `larder simulate`: what a configuration would have done with the requests of a log.
//!
//! Every request takes the way of a real one, through routes, keys, rules and memory ([`replica`]), at the time that the log has for it, before an origin
//! that answers as the log says ([`origin`]). So the decisions are those of the running gateway, by construction. Bodies have their lengths only.
//!
//! 1. `run`: the log is read on one thread, replayed on another, and sampled for the curve on a third (`curve`).
//! 2. `assumed`, `probe`: what a log does not tell.
//! 3. `compared`: decisions of two configurations that differ.

mod assumed;
mod compared;
mod curve;
mod origin;
mod probe;
mod replica;
mod run;

pub(crate) use assumed::AssumedFields;
pub(crate) use compared::Comparison;
pub(crate) use run::{Settings, SimulateError, Simulated, simulate};
