//! The cache as a tower service, before an inner service that is scripted in memory.

mod again;
mod arriving;
mod collapsing;
mod common;
mod entry_cost;
mod failing;
mod folders;
mod giving_up;
mod hit_cost;
mod identities;
mod leases;
mod miss_cost;
mod mounted;
mod one_request;
mod purging;
mod ranges;
mod refreshing;
mod replicas;
mod streaming;
mod told;
mod variants;
mod writes;
