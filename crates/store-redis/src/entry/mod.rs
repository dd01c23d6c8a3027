//! Entries: looking one up, writing one, and the leases that say who fetches one.
//!
//! 1. [`load()`] asks for an entry, or for the lease to fetch it ([`lease`]). A holder shows by its `heartbeat` that it lives, and those who wait
//!    `watch` it; they also learn of a `failure`. A slow answer they read through a [`relay`] while it arrives. A long body is read on in [`chunks`] while it is served; `slices`
//!    reads the form of earlier versions.
//! 2. A write waits in the [`Queue`] until a [`worker`] does it: `write` commits, freshens and removes, and gives back the lease.
//! 3. `leftovers` ends the chunks of a body that was replaced; `sweep` drops all that a purge of everything invalidated.
//!
//! All of them are given [`Tier`]: the link, the log, the queue and the counters.

mod chunks;
mod counters;
mod failure;
mod heartbeat;
mod lease;
mod leftovers;
mod load;
mod queue;
mod relay;
mod slices;
mod sweep;
mod tier;
mod watch;
mod worker;
mod write;

pub(crate) use failure::read_failure;
pub(crate) use load::load;
pub(crate) use queue::{Queue, WriteTask};
pub(crate) use sweep::keep_sweeping;
pub(crate) use tier::Tier;
pub(crate) use worker::work;
