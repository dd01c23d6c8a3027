//! Redis or Valkey as Larder's second tier: all replicas share what one of them has fetched, and a restart starts warm.
//!
//! An entry is one HASH: `f` the fetch that its head is from, `id` the fetch that its body is from, `m` the head as
//! `larder_store::codec` frames it, `b` the body up to 256 KiB, `c` how the body is stored if that is not as it is, `t` when by Redis' clock
//! the response was of age zero (its writer's clock may be ahead of a reader's), and `p` the log's entry that it was fetched at. So a 304
//! rewrites the head alone, guarded by `id`. Every key has a time to live.
//!
//! A longer body lies in immutable chunks of that size, written before the head and kept a little longer than it. Each has a version and a
//! checksum of its own, is compressed and sealed by itself, and names the body that it is of: so it is proven good before a byte of it
//! goes anywhere, and the first is on its way to the client while the others are read, a few ahead, on a connection of their own. Before
//! that, one look says whether all of them are there. `c` tells their lengths. Bodies that were stored in slices, as before chunks were
//! proven each by itself, are read whole.
//!
//! Beside the entries lies the log of invalidations, a stream that all replicas follow. A stored response carries the log's position from
//! before its fetch began, so that each replica can tell by itself whether it has been invalidated since; nothing has to be deleted.
//!
//! A look-up that finds nothing returns the lease to fetch, or names the fetch that runs and its position in the log. A body that takes long is written
//! piece by piece while it arrives, if another replica waits for it: a relay, which those who wait read as it grows.
//!
//! No error here is an error to a request. An operation has its own deadline; after some failures in a row the breaker lets no operation
//! through, and Redis is asked in the background until it works again.
//!
//! The folders, of which each uses only those after it:
//!
//! 1. `store` is the tier as its users see it, and `channel` reads what applications publish;
//! 2. `entry` looks up, writes and leases entries;
//! 3. `log` follows the log of invalidations and puts new ones in;
//! 4. `journal` keeps invalidations that Redis does not take yet;
//! 5. `link` connects, and gives every operation its deadline, its breaker and its observer;
//! 6. `turns` is what replicas do in turn, such as health checks, `vault` what they keep besides, such as certificates, and `limit` what they count together;
//! 7. `value` names keys, and compresses and seals what is stored; `scripts` is what Redis does in one step.

mod channel;
mod counter;
mod entry;
#[doc(hidden)]
pub mod fuzzing;
mod journal;
mod limit;
mod link;
mod log;
mod scripts;
mod stats;
mod store;
mod turns;
mod value;
mod vault;

pub use channel::Message;
/// The settings, which need nothing of what runs here.
pub use larder_redis_options::{
    Compression, InvalidRedisUrl, InvalidSealKey, RedisOptions, RedisServers, RedisUrl, SealKey, SealKeys, WriteMode,
};
pub use limit::{LimitAsk, LimitGrant};
pub use link::{Clocks, Operation, RedisObserver};
pub use log::{Examination, ExaminedServer, ReplicaInfo, ServerInfo, examine};
pub use stats::RedisStats;
pub use store::{RedisStore, StartError};
pub use value::NameOfKey;
