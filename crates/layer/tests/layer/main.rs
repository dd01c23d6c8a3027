//! The cache as a tower service, before an inner service that is scripted in memory.

mod ahead;
mod arriving;
mod body_invalidation;
mod collapsing;
mod common;
mod contents;
mod cookies;
mod entry_cost;
mod failing;
mod giving_up;
mod hit_cost;
mod identities;
mod in_axum;
mod large_bodies;
mod lateness;
mod leases;
mod lifetimes;
mod limited;
mod miss_cost;
mod models;
mod mounted;
mod one_request;
mod purging;
mod ranges;
mod refetch;
mod refreshing;
mod relays;
mod replicas;
mod restarts;
mod shared_tier;
mod streaming;
mod tier_fake;
mod tiers;

mod variants;
mod writes;
