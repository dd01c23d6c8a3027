//! The tier against real servers.

mod chunks;
mod clusters;
mod damage;
mod entries;
mod epochs;
mod failures;
mod forms;
mod leases;
mod leftovers;
mod limits;
mod log;
mod messages;
mod places;
mod relays;
mod removals;
mod replicas;
mod sentinels;
mod support;
mod turns;
mod vault;
