//! Redis or Valkey as Larder's second tier: what one replica has fetched, all have, and a restart starts warm.
//!
//! An entry is one HASH: `f` the fetch that its head is from, `id` the fetch that its body is from, `m` the head as
//! `larder_store::codec` frames it, `b` the body up to 256 KiB, and `c` how the body is stored if that is not as it is. A longer body lies
//! in immutable chunks of that size, written before the head. So a 304 rewrites `m` and `f` alone, guarded by `id`, and no large value ever stands before a small one. Every key has a
//! time to live.
//!
//! Beside the entries lies the log of invalidations, a stream that all replicas follow. A stored response carries the log's position from
//! before its fetch began, so that each replica can tell by itself whether it has been invalidated since; nothing has to be deleted.
//!
//! Nothing here is an error to a request. An operation has its own deadline; after some failures in a row the breaker leaves Redis alone
//! and asks it in the background until it works again.

mod breaker;
mod channel;
mod health;
mod inspect;
mod journal;
mod journal_file;
mod keys;
mod link;
mod load;
mod log;
mod options;
mod pack;
mod queue;
mod replicas;
mod scripts;
mod seal;
mod servers;
mod stats;
mod store;
mod tail;
mod write;

pub use breaker::BreakerState;
pub use inspect::ServerInfo;
pub use options::{InvalidRedisUrl, RedisOptions, RedisServers, RedisUrl, WriteMode};
pub use pack::Compression;
pub use seal::{InvalidSealKey, SealKey, SealKeys};
pub use stats::{Operation, RedisObserver, RedisStats};
pub use store::{RedisStore, StartError};
