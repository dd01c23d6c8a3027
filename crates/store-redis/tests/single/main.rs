//! The tier against real servers.

mod clusters;
mod entries;
mod failures;
mod leases;
mod log;
mod places;
mod sentinels;
mod support;
