//! The tier against real servers.

mod clusters;
mod entries;
mod failures;
mod forms;
mod leases;
mod log;
mod places;
mod sentinels;
mod support;
