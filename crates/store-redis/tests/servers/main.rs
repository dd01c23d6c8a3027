//! The tier against real servers.

mod chunks;
mod clusters;
mod entries;
mod failures;
mod forms;
mod leases;
mod leftovers;
mod log;
mod places;
mod sentinels;
mod support;
