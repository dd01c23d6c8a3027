//! The tier against a real redis-server.

mod entries;
mod failures;
mod leases;
mod log;
mod support;
